// Package filter decides which notifications of SNS a subscription gets.
//
// Parse makes a Policy of a subscription's FilterPolicy, or says what is wrong with it in AWS's own words. A
// Message is what was published; Policy.Match tells whether the subscription gets it. A Message is decoded
// once, when the first policy asks, however many policies it is matched against.
//
//	policy, err := filter.Parse(`{"price": [{"numeric": ["<", 100]}]}`, filter.MessageBody)
//	...
//	m := filter.NewMessage(attributes, body)
//	if policy.Match(m) { ... }
//
// A policy is an OR of rules: "$or" is multiplied out. A rule is an AND of fields, a field a path of names
// and the patterns of which one must match. A message is flat as well: at each path the values that are
// there, and for each value in which elements of which arrays it is. Names with dots are paths: to SNS "a.b"
// is the same as b in a. Fields that lie in one array match only together in one element of it.
//
// docs/wire/aws.md is what clients can rely on.
package filter
