package amqp

// The methods of class queue (50). The reserved numbers in front were access tickets.

type queueDeclare struct {
	queue      string
	passive    bool
	durable    bool
	exclusive  bool
	autoDelete bool
	noWait     bool
	arguments  Table
}

func (*queueDeclare) id() methodID { return methodID{50, 10} }

func (m *queueDeclare) fields(c *codec) {
	c.reservedShort().text(&m.queue).
		bits(&m.passive, &m.durable, &m.exclusive, &m.autoDelete, &m.noWait).
		table(&m.arguments)
}

type queueDeclareOk struct {
	queue         string
	messageCount  uint32 // ready ones
	consumerCount uint32
}

func (*queueDeclareOk) id() methodID { return methodID{50, 11} }

func (m *queueDeclareOk) fields(c *codec) {
	c.text(&m.queue).long(&m.messageCount).long(&m.consumerCount)
}

type queueBind struct {
	queue      string
	exchange   string
	routingKey string
	noWait     bool
	arguments  Table
}

func (*queueBind) id() methodID { return methodID{50, 20} }

func (m *queueBind) fields(c *codec) {
	c.reservedShort().text(&m.queue).text(&m.exchange).text(&m.routingKey).
		bits(&m.noWait).table(&m.arguments)
}

type queueBindOk struct{ noFields }

func (*queueBindOk) id() methodID { return methodID{50, 21} }

type queuePurge struct {
	queue  string
	noWait bool
}

func (*queuePurge) id() methodID { return methodID{50, 30} }

func (m *queuePurge) fields(c *codec) {
	c.reservedShort().text(&m.queue).bits(&m.noWait)
}

type queuePurgeOk struct {
	messageCount uint32
}

func (*queuePurgeOk) id() methodID { return methodID{50, 31} }

func (m *queuePurgeOk) fields(c *codec) {
	c.long(&m.messageCount)
}

type queueDelete struct {
	queue    string
	ifUnused bool
	ifEmpty  bool
	noWait   bool
}

func (*queueDelete) id() methodID { return methodID{50, 40} }

func (m *queueDelete) fields(c *codec) {
	c.reservedShort().text(&m.queue).bits(&m.ifUnused, &m.ifEmpty, &m.noWait)
}

type queueDeleteOk struct {
	messageCount uint32
}

func (*queueDeleteOk) id() methodID { return methodID{50, 41} }

func (m *queueDeleteOk) fields(c *codec) {
	c.long(&m.messageCount)
}

// queueUnbind, unlike its siblings, is always answered.
type queueUnbind struct {
	queue      string
	exchange   string
	routingKey string
	arguments  Table
}

func (*queueUnbind) id() methodID { return methodID{50, 50} }

func (m *queueUnbind) fields(c *codec) {
	c.reservedShort().text(&m.queue).text(&m.exchange).text(&m.routingKey).table(&m.arguments)
}

type queueUnbindOk struct{ noFields }

func (*queueUnbindOk) id() methodID { return methodID{50, 51} }
