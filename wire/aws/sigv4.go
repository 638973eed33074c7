package aws

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signature is what a request says of how it was signed, by AWS Signature Version 4.
type signature struct {
	key, date, region, service string // of the credential
	headers                    []string
	hex                        string
	time                       string // of X-Amz-Date
	inURL                      bool
}

const (
	sigAlgorithm = "AWS4-HMAC-SHA256"
	sigTime      = "20060102T150405Z"
	sigAge       = 15 * time.Minute
)

// signatureOf reads the Authorization header, or the same from the URL. ok is false where there is neither
// or it is not of Version 4.
func signatureOf(r *http.Request) (g signature, ok bool) {
	var credential, signed string
	if rest, header := strings.CutPrefix(r.Header.Get("Authorization"), sigAlgorithm+" "); header {
		for part := range strings.SplitSeq(rest, ",") {
			switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
			case "Credential":
				credential = value
			case "SignedHeaders":
				signed = value
			case "Signature":
				g.hex = value
			}
		}
		g.time = r.Header.Get("X-Amz-Date")
	} else if strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") {
		q := r.URL.Query()
		if q.Get("X-Amz-Algorithm") != sigAlgorithm {
			return g, false
		}
		credential, signed = q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders")
		g.hex, g.time, g.inURL = q.Get("X-Amz-Signature"), q.Get("X-Amz-Date"), true
	}
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return g, false
	}
	g.key, g.date, g.region, g.service = scope[0], scope[1], scope[2], scope[3]
	g.headers = strings.Split(signed, ";")
	return g, true
}

// scopeService is the service that a signature names, checked or not; "": none.
func scopeService(r *http.Request) string {
	g, _ := signatureOf(r)
	return g.service
}

// senderOf is whom a message is said to be from: the key that signed, or the account.
func senderOf(r *http.Request, account string) string {
	if g, ok := signatureOf(r); ok && g.key != "" && len(g.key) <= 128 {
		return g.key
	}
	return account
}

// checkSignature refuses a request that no known key has signed within the last 15 minutes, if there are
// keys.
func (s *Server) checkSignature(r *http.Request, body []byte) error {
	if s.config.Keys == nil {
		return nil
	}
	g, ok := signatureOf(r)
	if !ok {
		if r.Header.Get("Authorization") == "" {
			return errorf(signatureMissing, "Request is missing Authentication Token")
		}
		return errorf(signatureMalformed, "Authorization header is not of Signature Version 4.")
	}
	at, err := time.Parse(sigTime, g.time)
	if err != nil || !strings.HasPrefix(g.time, g.date) {
		return errorf(signatureMalformed, "X-Amz-Date is missing, or is not of the credential's day.")
	}
	secret, known := s.config.Keys[g.key]
	if !known {
		return errorf(keyUnknown, "The security token included in the request is invalid.")
	}
	for _, name := range []string{"host", "x-amz-target"} { // who is asked, and for what
		if (name == "host" || r.Header.Get(name) != "") && !slices.Contains(g.headers, name) {
			return errorf(signatureMalformed, "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	if !hmac.Equal([]byte(g.sign(r, body, secret)), []byte(g.hex)) {
		return errorf(signatureWrong, "The request signature we calculated does not match the signature you "+
			"provided. Check your AWS Secret Access Key and signing method.")
	}
	return s.checkAge(at)
}

// checkAge refuses what was signed too long ago, or is of the future.
func (s *Server) checkAge(at time.Time) error {
	now := s.config.Now().UTC()
	minutes := int(sigAge.Minutes())
	switch age := now.Sub(at); {
	case age > sigAge:
		return errorf(requestExpired, "Signature expired: %s is now earlier than %s (%s - %d min.)",
			at.Format(sigTime), now.Add(-sigAge).Format(sigTime), now.Format(sigTime), minutes)
	case age < -sigAge:
		return errorf(requestExpired, "Signature not yet current: %s is still later than %s (%s + %d min.)",
			at.Format(sigTime), now.Add(sigAge).Format(sigTime), now.Format(sigTime), minutes)
	}
	return nil
}

// sign is the signature that the request should have.
func (g *signature) sign(r *http.Request, body []byte, secret string) string {
	canonical := sha256.Sum256([]byte(g.canonical(r, body)))
	scope := g.date + "/" + g.region + "/" + g.service + "/aws4_request"
	key := []byte("AWS4" + secret)
	for _, part := range []string{g.date, g.region, g.service, "aws4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key,
		sigAlgorithm+"\n"+g.time+"\n"+scope+"\n"+hex.EncodeToString(canonical[:])))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonical is the request in the one way in which it is signed.
func (g *signature) canonical(r *http.Request, body []byte) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + canonicalPath(r.URL) + "\n" + g.canonicalQuery(r.URL) + "\n")
	for _, name := range g.headers {
		b.WriteString(name + ":" + canonicalHeader(r, name) + "\n")
	}
	hash := sha256.Sum256(body)
	b.WriteString("\n" + strings.Join(g.headers, ";") + "\n" + hex.EncodeToString(hash[:]))
	return b.String()
}

// canonicalPath is escaped twice: every service but S3 has it so.
func canonicalPath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = sigEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

func (g *signature) canonicalQuery(u *url.URL) string {
	var pairs []string
	for name, values := range u.Query() {
		if g.inURL && name == "X-Amz-Signature" {
			continue
		}
		for _, v := range values {
			pairs = append(pairs, sigEscape(name)+"="+sigEscape(v))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// canonicalHeader is one header, with the two that net/http takes out of the others.
func canonicalHeader(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i := range values {
		values[i] = strings.Join(strings.Fields(values[i]), " ")
	}
	return strings.Join(values, ",")
}

const upperHex = "0123456789ABCDEF"

// sigEscape escapes all but the unreserved characters of RFC 3986.
func sigEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}
