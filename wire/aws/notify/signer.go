package notify

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Signer signs documents, so that a subscriber can tell them from others that know its URL. It is safe for
// concurrent use. A signature takes about a millisecond of a core: one does for a message and all of its
// subscriptions, since it does not cover what is of a subscription.
type Signer struct {
	key         *rsa.PrivateKey
	certificate []byte
	path        string
}

// keyBits is the length of keys, which is that of SNS.
const keyBits = 2048

// NewKey makes a key and a certificate for it, signed by itself, in PEM. Who calls keeps it, and keeps it
// secret: subscribers hold on to certificates. It takes up to a second.
func NewKey(now time.Time) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("sns: make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("sns: make a key: %w", err)
	}
	about := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Tidings Simple Notification Service"},
		NotBefore:             now.Add(-24 * time.Hour), // clocks differ
		NotAfter:              now.AddDate(100, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sns: make a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("sns: make a key: %w", err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: secret})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der})...), nil
}

const (
	keyBlock         = "PRIVATE KEY"
	certificateBlock = "CERTIFICATE"
)

// NewSigner returns the signer of what NewKey made.
func NewSigner(made []byte) (*Signer, error) {
	secret, rest := pem.Decode(made)
	if secret == nil || secret.Type != keyBlock {
		return nil, errors.New("sns: there is no private key")
	}
	certificate, _ := pem.Decode(rest)
	if certificate == nil || certificate.Type != certificateBlock {
		return nil, errors.New("sns: there is no certificate behind the key")
	}
	any, err := x509.ParsePKCS8PrivateKey(secret.Bytes)
	if err != nil {
		return nil, fmt.Errorf("sns: read the key: %w", err)
	}
	key, ok := any.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("sns: the key is a %T, want one of RSA", any)
	}
	about, err := x509.ParseCertificate(certificate.Bytes)
	if err != nil {
		return nil, fmt.Errorf("sns: read the certificate: %w", err)
	}
	if !key.PublicKey.Equal(about.PublicKey) {
		return nil, errors.New("sns: the certificate is of another key")
	}
	sum := sha256.Sum256(certificate.Bytes)
	return &Signer{key: key, certificate: pem.EncodeToMemory(certificate),
		path: "/SimpleNotificationService-" + hex.EncodeToString(sum[:16]) + ".pem"}, nil
}

// Certificate is what is served under Path, in PEM, with no secret in it.
func (s *Signer) Certificate() []byte { return bytes.Clone(s.certificate) }

// Path is that of SigningCertURL: "/SimpleNotificationService-<32 hexadecimal digits>.pem". A further key has
// another one.
func (s *Signer) Path() string { return s.path }

// Sign gives a document its signature, in the version that it asks for: "" is "1".
func (s *Signer) Sign(n *Notification) error {
	if n.SignatureVersion == "" {
		n.SignatureVersion = "1"
	}
	hash, sum, err := n.digest()
	if err != nil {
		return err
	}
	signature, err := rsa.SignPKCS1v15(nil, s.key, hash, sum)
	if err != nil {
		return fmt.Errorf("sns: sign: %w", err)
	}
	n.Signature = base64.StdEncoding.EncodeToString(signature)
	return nil
}

// Verify says what is wrong with the signature of a document, by the rules of SNS.
func Verify(certificate []byte, n *Notification) error {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return errors.New("sns: that is no certificate")
	}
	about, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("sns: read the certificate: %w", err)
	}
	key, ok := about.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("sns: the certificate is for a %T, want one of RSA", about.PublicKey)
	}
	hash, sum, err := n.digest()
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(n.Signature)
	if err != nil {
		return fmt.Errorf("sns: the signature is not base64: %w", err)
	}
	return rsa.VerifyPKCS1v15(key, hash, sum, signature)
}

// digest is what is signed, of the string that a subscriber makes of the document again.
func (n *Notification) digest() (crypto.Hash, []byte, error) {
	text := n.stringToSign()
	switch n.SignatureVersion {
	case "1":
		sum := sha1.Sum(text)
		return crypto.SHA1, sum[:], nil
	case "2":
		sum := sha256.Sum256(text)
		return crypto.SHA256, sum[:], nil
	}
	return 0, nil, fmt.Errorf("sns: there is no version %q of signatures", n.SignatureVersion)
}

// stringToSign is the names and values of these fields, each on a line of its own; of a notification
// the subject only where it has one.
func (n *Notification) stringToSign() []byte {
	b := make([]byte, 0, 256+len(n.Message)+len(n.Subject)+len(n.SubscribeURL)+len(n.Token))
	add := func(name, value string) {
		b = append(append(append(append(b, name...), '\n'), value...), '\n')
	}
	add("Message", n.Message)
	add("MessageId", n.MessageID)
	if n.Type != Message {
		add("SubscribeURL", n.SubscribeURL)
	} else if n.Subject != "" {
		add("Subject", n.Subject)
	}
	add("Timestamp", n.timestamp())
	if n.Type != Message {
		add("Token", n.Token)
	}
	add("TopicArn", n.TopicARN)
	add("Type", string(n.Type))
	return b
}
