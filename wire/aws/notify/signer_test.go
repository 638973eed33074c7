package notify

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var madeOnce = sync.OnceValues(func() ([]byte, error) { return NewKey(time.Now()) })

func newSigner(t testing.TB) *Signer {
	t.Helper()
	made, err := madeOnce()
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(made)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stockValidation checks a document as AWS's own validators do: by the fields that it has, in this order.
func stockValidation(t *testing.T, certificate, document []byte) error {
	t.Helper()
	var doc map[string]string
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range []string{"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token",
		"TopicArn", "Type"} {
		if value, has := doc[name]; has {
			text.WriteString(name + "\n" + value + "\n")
		}
	}
	block, _ := pem.Decode(certificate)
	about, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(doc["Signature"])
	if err != nil {
		t.Fatal(err)
	}
	key := about.PublicKey.(*rsa.PublicKey)
	if doc["SignatureVersion"] == "2" {
		sum := sha256.Sum256([]byte(text.String()))
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	}
	sum := sha1.Sum([]byte(text.String()))
	return rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature)
}

func TestStockValidatorsAcceptWhatWasSigned(t *testing.T) {
	s := newSigner(t)
	for _, version := range []string{"", "1", "2"} {
		for name, change := range map[string]func(*Notification){
			"notification":   func(*Notification) {},
			"with a subject": func(n *Notification) { n.Subject, n.Message = "S\u00fcbject", "two\nlines \"\\" },
			"confirmation": func(n *Notification) {
				n.Type, n.Token, n.SubscribeURL = SubscriptionConfirmation, "123", "http://localhost/?Token=123"
			},
			"end": func(n *Notification) {
				n.Type, n.Token, n.SubscribeURL = UnsubscribeConfirmation, "123", "http://localhost/?Token=123"
			},
		} {
			n := example()
			n.SignatureVersion = version
			change(n)
			if err := s.Sign(n); err != nil {
				t.Fatal(err)
			}
			if err := stockValidation(t, s.Certificate(), n.Envelope().Document("")); err != nil {
				t.Errorf("%s, version %q: %v", name, version, err)
			}
			if err := Verify(s.Certificate(), n); err != nil {
				t.Errorf("Verify %s, version %q: %v", name, version, err)
			}
		}
	}
}

func TestASignatureIsOfOneDocumentAndOneKey(t *testing.T) {
	s := newSigner(t)
	n := example()
	if err := s.Sign(n); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Notification){
		"message": func(n *Notification) { n.Message += "." },
		"id":      func(n *Notification) { n.MessageID += "." },
		"subject": func(n *Notification) { n.Subject = "s" },
		"time":    func(n *Notification) { n.Time = n.Time.Add(time.Millisecond) },
		"topic":   func(n *Notification) { n.TopicARN += "." },
		"type":    func(n *Notification) { n.Type = SubscriptionConfirmation },
		"version": func(n *Notification) { n.SignatureVersion = "2" },
		"unknown": func(n *Notification) { n.SignatureVersion = "3" },
	} {
		other := *n
		change(&other)
		if Verify(s.Certificate(), &other) == nil {
			t.Errorf("another %s has the same signature", name)
		}
	}
	made, err := NewKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSigner(made)
	if err != nil {
		t.Fatal(err)
	}
	if Verify(other.Certificate(), n) == nil || other.Path() == s.Path() {
		t.Error("another key has the same signature, or path")
	}
	n.SignatureVersion = "3"
	if s.Sign(n) == nil {
		t.Error("version 3 is signed")
	}
}

func TestAKeptKeyIsTheSameSigner(t *testing.T) {
	a, b := newSigner(t), newSigner(t)
	n := example()
	if err := a.Sign(n); err != nil {
		t.Fatal(err)
	}
	if err := Verify(b.Certificate(), n); err != nil || a.Path() != b.Path() {
		t.Errorf("%v, %s and %s", err, a.Path(), b.Path())
	}
	if !regexp.MustCompile(`^/SimpleNotificationService-[0-9a-f]{32}\.pem$`).MatchString(a.Path()) {
		t.Errorf("path is %s", a.Path())
	}
	if text := string(a.Certificate()); strings.Contains(text, "PRIVATE") || !strings.HasPrefix(text, "-----BEGIN CERT") {
		t.Errorf("what is served is %s", text)
	}
	made, _ := madeOnce()
	other, err := NewKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, _ := pem.Decode(other)
	_, certificate := pem.Decode(made)
	for name, b := range map[string][]byte{"nothing": nil, "text": []byte("x"), "a key": made[:len(made)-len(certificate)],
		"a certificate": certificate, "both of two": append(pem.EncodeToMemory(key), certificate...)} {
		if _, err := NewSigner(b); err == nil {
			t.Errorf("%s is taken for a key with its certificate", name)
		}
	}
}

// BenchmarkSign is what a message costs; BenchmarkDocument what each further subscription does.
func BenchmarkSign(b *testing.B) {
	s, n := newSigner(b), example()
	n.Message = strings.Repeat("x", 1024)
	for _, version := range []string{"1", "2"} {
		b.Run(version, func(b *testing.B) {
			n.SignatureVersion = version
			for b.Loop() {
				if err := s.Sign(n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDocument(b *testing.B) {
	n := example()
	n.Message = strings.Repeat("x", 1024)
	e := n.Envelope()
	for b.Loop() {
		e.Document("http://localhost:4566/?Action=Unsubscribe&SubscriptionArn=a")
	}
}
