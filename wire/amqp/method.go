package amqp

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// A method is what a method frame carries. Each is a struct that is used by pointer.
type method interface {
	id() methodID
	// fields walks over the arguments in the order in which they travel.
	fields(c *codec)
}

// A methodID is the numbers of a method on the wire.
type methodID struct{ class, method uint16 }

const methodIDBytes = 4

// String is the method's name, or its numbers if it has none.
func (id methodID) String() string {
	if k, ok := methods[id]; ok {
		return k.name
	}
	return fmt.Sprintf("%d.%d", id.class, id.method)
}

// A methodReader decodes the methods of one connection. The four that come by the hundred
// thousand it decodes into the same structs again and again: what parse returns is valid until
// the next call. To keep it, copy the struct; strings in it share nothing with the payload.
type methodReader struct {
	publish basicPublish
	ack     basicAck
	nack    basicNack
	reject  basicReject
}

// parse decodes the payload of a method frame. Every error is an *Error that closes the
// connection, and names the method if that is known.
func (r *methodReader) parse(payload []byte) (method, error) {
	if len(payload) < methodIDBytes {
		return nil, errorf(replyFrameError, "method frame of %d octets", len(payload))
	}
	id := methodID{binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])}
	m := r.blank(id)
	if m == nil {
		return nil, causedBy(id, errorf(replyNotImplemented, "unknown method %v", id))
	}
	c := walk(m, codec{reader: reader{rest: payload[methodIDBytes:]}})
	if err := c.end(); err != nil {
		return nil, causedBy(id, err)
	}
	return m, nil
}

// blank returns the struct to decode into, or nil for an unknown method.
func (r *methodReader) blank(id methodID) method {
	switch id {
	case r.publish.id():
		return &r.publish
	case r.ack.id():
		return &r.ack
	case r.nack.id():
		return &r.nack
	case r.reject.id():
		return &r.reject
	}
	if k, ok := methods[id]; ok {
		return k.blank()
	}
	return nil
}

// appendMethod appends a method frame. It refuses, and returns dst as it came, what cannot
// travel: a short string of more than 255 bytes, or a table with something strange in it. It
// allocates nothing but room in dst; whoever sends many methods of a kind keeps one struct.
func appendMethod(dst []byte, channel uint16, m method) ([]byte, error) {
	start, id := len(dst), m.id()
	out := beginFrame(dst, frameMethod, channel)
	out = binary.BigEndian.AppendUint16(out, id.class)
	out = binary.BigEndian.AppendUint16(out, id.method)
	c := walk(m, codec{out: out, encoding: true})
	if c.err != nil {
		return dst, causedBy(id, c.err)
	}
	return endFrame(c.out, start), nil
}

// codecs keeps walk from allocating: what goes through an interface by pointer leaves the stack.
var codecs = sync.Pool{New: func() any { return new(codec) }}

// walk leads a codec over the arguments of m, and returns what became of it.
func walk(m method, c codec) codec {
	pooled := codecs.Get().(*codec)
	*pooled = c
	m.fields(pooled)
	c, *pooled = *pooled, codec{}
	codecs.Put(pooled)
	return c
}

// noFields is for methods without arguments.
type noFields struct{}

func (noFields) fields(*codec) {}

type methodKind struct {
	name  string
	blank func() method
}

// methods is every method of the dialect.
var methods = methodTable(
	kind[connectionStart]("connection.start"),
	kind[connectionStartOk]("connection.start-ok"),
	kind[connectionSecure]("connection.secure"),
	kind[connectionSecureOk]("connection.secure-ok"),
	kind[connectionTune]("connection.tune"),
	kind[connectionTuneOk]("connection.tune-ok"),
	kind[connectionOpen]("connection.open"),
	kind[connectionOpenOk]("connection.open-ok"),
	kind[connectionClose]("connection.close"),
	kind[connectionCloseOk]("connection.close-ok"),
	kind[connectionBlocked]("connection.blocked"),
	kind[connectionUnblocked]("connection.unblocked"),
	kind[connectionUpdateSecret]("connection.update-secret"),
	kind[connectionUpdateSecretOk]("connection.update-secret-ok"),

	kind[channelOpen]("channel.open"),
	kind[channelOpenOk]("channel.open-ok"),
	kind[channelFlow]("channel.flow"),
	kind[channelFlowOk]("channel.flow-ok"),
	kind[channelClose]("channel.close"),
	kind[channelCloseOk]("channel.close-ok"),

	kind[accessRequest]("access.request"),
	kind[accessRequestOk]("access.request-ok"),

	kind[exchangeDeclare]("exchange.declare"),
	kind[exchangeDeclareOk]("exchange.declare-ok"),
	kind[exchangeDelete]("exchange.delete"),
	kind[exchangeDeleteOk]("exchange.delete-ok"),
	kind[exchangeBind]("exchange.bind"),
	kind[exchangeBindOk]("exchange.bind-ok"),
	kind[exchangeUnbind]("exchange.unbind"),
	kind[exchangeUnbindOk]("exchange.unbind-ok"),

	kind[queueDeclare]("queue.declare"),
	kind[queueDeclareOk]("queue.declare-ok"),
	kind[queueBind]("queue.bind"),
	kind[queueBindOk]("queue.bind-ok"),
	kind[queuePurge]("queue.purge"),
	kind[queuePurgeOk]("queue.purge-ok"),
	kind[queueDelete]("queue.delete"),
	kind[queueDeleteOk]("queue.delete-ok"),
	kind[queueUnbind]("queue.unbind"),
	kind[queueUnbindOk]("queue.unbind-ok"),

	kind[basicQos]("basic.qos"),
	kind[basicQosOk]("basic.qos-ok"),
	kind[basicConsume]("basic.consume"),
	kind[basicConsumeOk]("basic.consume-ok"),
	kind[basicCancel]("basic.cancel"),
	kind[basicCancelOk]("basic.cancel-ok"),
	kind[basicPublish]("basic.publish"),
	kind[basicReturn]("basic.return"),
	kind[basicDeliver]("basic.deliver"),
	kind[basicGet]("basic.get"),
	kind[basicGetOk]("basic.get-ok"),
	kind[basicGetEmpty]("basic.get-empty"),
	kind[basicAck]("basic.ack"),
	kind[basicReject]("basic.reject"),
	kind[basicRecoverAsync]("basic.recover-async"),
	kind[basicRecover]("basic.recover"),
	kind[basicRecoverOk]("basic.recover-ok"),
	kind[basicNack]("basic.nack"),

	kind[confirmSelect]("confirm.select"),
	kind[confirmSelectOk]("confirm.select-ok"),

	kind[txSelect]("tx.select"),
	kind[txSelectOk]("tx.select-ok"),
	kind[txCommit]("tx.commit"),
	kind[txCommitOk]("tx.commit-ok"),
	kind[txRollback]("tx.rollback"),
	kind[txRollbackOk]("tx.rollback-ok"),
)

func kind[M any, P interface {
	*M
	method
}](name string) methodKind {
	return methodKind{name: name, blank: func() method { return P(new(M)) }}
}

func methodTable(kinds ...methodKind) map[methodID]methodKind {
	table := make(map[methodID]methodKind, len(kinds))
	for _, k := range kinds {
		table[k.blank().id()] = k
	}
	return table
}
