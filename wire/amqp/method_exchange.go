package amqp

// The methods of class exchange (40). The reserved numbers in front were access tickets.

type exchangeDeclare struct {
	exchange   string
	kind       string
	passive    bool
	durable    bool
	autoDelete bool
	internal   bool
	noWait     bool
	arguments  Table
}

func (*exchangeDeclare) id() methodID { return methodID{40, 10} }

func (m *exchangeDeclare) fields(c *codec) {
	c.reservedShort().text(&m.exchange).text(&m.kind).
		bits(&m.passive, &m.durable, &m.autoDelete, &m.internal, &m.noWait).
		table(&m.arguments)
}

type exchangeDeclareOk struct{ noFields }

func (*exchangeDeclareOk) id() methodID { return methodID{40, 11} }

type exchangeDelete struct {
	exchange string
	ifUnused bool
	noWait   bool
}

func (*exchangeDelete) id() methodID { return methodID{40, 20} }

func (m *exchangeDelete) fields(c *codec) {
	c.reservedShort().text(&m.exchange).bits(&m.ifUnused, &m.noWait)
}

type exchangeDeleteOk struct{ noFields }

func (*exchangeDeleteOk) id() methodID { return methodID{40, 21} }

// exchangeBind and its unbind are of RabbitMQ: exchange source also routes to exchange destination.
type exchangeBind struct {
	destination string
	source      string
	routingKey  string
	noWait      bool
	arguments   Table
}

func (*exchangeBind) id() methodID { return methodID{40, 30} }

func (m *exchangeBind) fields(c *codec) {
	c.reservedShort().text(&m.destination).text(&m.source).text(&m.routingKey).
		bits(&m.noWait).table(&m.arguments)
}

type exchangeBindOk struct{ noFields }

func (*exchangeBindOk) id() methodID { return methodID{40, 31} }

type exchangeUnbind struct {
	destination string
	source      string
	routingKey  string
	noWait      bool
	arguments   Table
}

func (*exchangeUnbind) id() methodID { return methodID{40, 40} }

func (m *exchangeUnbind) fields(c *codec) {
	c.reservedShort().text(&m.destination).text(&m.source).text(&m.routingKey).
		bits(&m.noWait).table(&m.arguments)
}

// exchangeUnbindOk is 51, not 41: a slip that became the protocol.
type exchangeUnbindOk struct{ noFields }

func (*exchangeUnbindOk) id() methodID { return methodID{40, 51} }
