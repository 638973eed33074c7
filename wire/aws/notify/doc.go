// Package notify is what SNS sends to subscribers: the document around a message, its signature, and
// its delivery to HTTP and HTTPS endpoints.
//
// A Notification is that document. A Signer signs it once, for all subscriptions that get it, and an
// Envelope makes the bytes for each.
//
// # Who checks signatures
//
// Validators of AWS (npm's sns-validator, aws/aws-php-sns-message-validator) take the certificate from
// SigningCertURL, and refuse one that is not under https, does not end with .pem, or whose host is not
// sns.<region>.amazonaws.com. Both let the host be changed, and not https. In PHP a function can get
// the certificate from elsewhere; in JavaScript it takes a proxy with TLS. docs/wire/aws-http.md says
// how. What else checks reads the certificate under Signer.Path once.
package notify
