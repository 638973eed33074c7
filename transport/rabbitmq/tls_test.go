package rabbitmq

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	wire "github.com/tidings-io/tidings/wire/amqp"
)

// A certificate that nobody vouches for fails at once; with its authority all is as without TLS.
func TestTLS(t *testing.T) {
	certificate, authority := selfSigned(t)
	r := serve(t, func(c *wire.Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	})
	url := strings.Replace(r.url(), "amqp:", "amqps:", 1)
	_, err := Open(soon(t), Config{URL: url})
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want that the certificate is refused", err)
	}
	tr := r.open(func(c *Config) { c.URL, c.TLS = url, &tls.Config{RootCAs: authority} })
	publish(t, tr, event("e1"))
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{{127, 0, 0, 1}},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
