// Package listener is what all listeners of the house have in common: which addresses may be bound and
// how, the accept loop and the bound of connections, an HTTP server that ends in order, request bodies
// within bounds, and what a browser may not send for a foreign page. It knows no protocol.
package listener
