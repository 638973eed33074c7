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
// sns.<region>.amazonaws.com. Both let that host be changed, not https: MessageValidator(/^localhost$/) in
// JavaScript, the second argument in PHP, whose first one, a function that gets the certificate, is how it is
// taken from an HTTP port. Where neither does, a program reads the certificate under Signer.Path once,
// and checks with that.
package notify
