package amqp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
)

// Tags of users that mean something here; management has its own.
const (
	tagAdministrator = "administrator"
	tagImpersonator  = "impersonator" // may set any user-id
)

const guest = "guest"

// seedGuest makes RabbitMQ's first user in a data directory that has never had one.
func seedGuest(b *broker.Broker) error {
	return b.SeedUser(context.Background(),
		broker.User{Name: guest, Tags: []string{tagAdministrator}, PasswordHash: broker.HashPassword(guest)},
		broker.Permission{User: guest, Configure: ".*", Write: ".*", Read: ".*"})
}

// Login returns the user who has this name and password and may connect from an address; false:
// nobody may. Faces beside this one ask it, so that the same users may use them. Where
// Config.Authenticate decides, who is let in is an administrator.
func (s *Server) Login(name, password string, from net.Addr) (broker.User, bool) {
	if f := s.config.Authenticate; f != nil {
		return broker.User{Name: name, Tags: []string{tagAdministrator}}, f(name, password, from)
	}
	u, ok := s.broker.Login(name, password)
	return u, ok && s.mayCome(name, from)
}

// mayCome keeps users whose password everybody knows on this machine.
func (s *Server) mayCome(user string, from net.Addr) bool {
	tcp, ok := from.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback() || !slices.Contains(s.config.LoopbackUsers, user)
}

// mechanisms are those that a client may log in with. EXTERNAL is one only where a client's
// certificate is verified.
func (s *Server) mechanisms() string {
	if s.verifiesClients() {
		return "PLAIN AMQPLAIN EXTERNAL"
	}
	return "PLAIN AMQPLAIN"
}

func (s *Server) verifiesClients() bool {
	t := s.config.TLS
	return t != nil && t.ClientAuth >= tls.VerifyClientCertIfGiven && s.config.Authenticate == nil
}

// login is who a client says it is, if that is true.
func (c *conn) login(m *connectionStartOk) (u broker.User, name string, ok bool, err error) {
	if m.mechanism == "EXTERNAL" && c.s.verifiesClients() {
		name = c.certificateName()
		u, missing := c.s.broker.User(name)
		return u, name, missing == nil && c.s.mayCome(name, c.nc.RemoteAddr()), nil
	}
	name, password, err := credentials(m.mechanism, m.response)
	if err != nil {
		return u, "", false, err
	}
	u, ok = c.s.Login(name, password, c.nc.RemoteAddr())
	return u, name, ok, nil
}

// certificateName is the user whom the client's certificate names; "": there is none that was
// verified.
func (c *conn) certificateName() string {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return ""
	}
	state := t.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return ""
	}
	cert := state.PeerCertificates[0]
	if c.s.config.CertificateLogin == CommonName {
		return cert.Subject.CommonName
	}
	return distinguishedName(cert)
}

// CertificateLogin is which name of a client's certificate is its user.
type CertificateLogin uint8

const (
	// DistinguishedName is all of the subject, as RFC 4514 writes it: "CN=ann,O=Example". It is
	// RabbitMQ's default too.
	DistinguishedName CertificateLogin = iota
	CommonName
)

// attributeNames are RabbitMQ's for the parts of a name.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L",
	"2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "TITLE",
	"2.5.4.42": "GIVENNAME", "2.5.4.43": "INITIALS", "2.5.4.44": "GENERATIONQUALIFIER",
	"2.5.4.65": "PSEUDONYM", "1.2.840.113549.1.9.1": "EMAILADDRESS",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// distinguishedName writes the subject as RabbitMQ does: the last part first.
func distinguishedName(cert *x509.Certificate) string {
	var subject pkix.RDNSequence
	if _, err := asn1.Unmarshal(cert.RawSubject, &subject); err != nil {
		return ""
	}
	var parts []string
	for _, set := range slices.Backward(subject) {
		var values []string
		for _, a := range set {
			oid := a.Type.String()
			if name, ok := attributeNames[oid]; ok {
				oid = name
			}
			values = append(values, oid+"="+escapeDN(fmt.Sprint(a.Value)))
		}
		parts = append(parts, strings.Join(values, "+"))
	}
	return strings.Join(parts, ",")
}

// escapeDN escapes a value as RFC 4514 says, and like RabbitMQ all that is not printable ASCII.
func escapeDN(v string) string {
	var b strings.Builder
	for i := range len(v) {
		c := v[i]
		switch {
		case i == 0 && (c == ' ' || c == '#'), i == len(v)-1 && c == ' ',
			strings.IndexByte(`"+,;<>\`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= '~':
			fmt.Fprintf(&b, `\%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
