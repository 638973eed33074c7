package amqp

// The methods of class basic (60). After publish, return, deliver and getOk a content follows.

type basicQos struct {
	prefetchSize  uint32
	prefetchCount uint16
	global        bool
}

func (*basicQos) id() methodID { return methodID{60, 10} }

func (m *basicQos) fields(c *codec) {
	c.long(&m.prefetchSize).short(&m.prefetchCount).bits(&m.global)
}

type basicQosOk struct{ noFields }

func (*basicQosOk) id() methodID { return methodID{60, 11} }

type basicConsume struct {
	queue       string
	consumerTag string
	noLocal     bool
	noAck       bool
	exclusive   bool
	noWait      bool
	arguments   Table
}

func (*basicConsume) id() methodID { return methodID{60, 20} }

func (m *basicConsume) fields(c *codec) {
	c.reservedShort().text(&m.queue).text(&m.consumerTag).
		bits(&m.noLocal, &m.noAck, &m.exclusive, &m.noWait).table(&m.arguments)
}

type basicConsumeOk struct {
	consumerTag string
}

func (*basicConsumeOk) id() methodID { return methodID{60, 21} }

func (m *basicConsumeOk) fields(c *codec) {
	c.text(&m.consumerTag)
}

// basicCancel also goes from server to client when a queue is deleted, if the client has said
// that it understands that.
type basicCancel struct {
	consumerTag string
	noWait      bool
}

func (*basicCancel) id() methodID { return methodID{60, 30} }

func (m *basicCancel) fields(c *codec) {
	c.text(&m.consumerTag).bits(&m.noWait)
}

type basicCancelOk struct {
	consumerTag string
}

func (*basicCancelOk) id() methodID { return methodID{60, 31} }

func (m *basicCancelOk) fields(c *codec) {
	c.text(&m.consumerTag)
}

type basicPublish struct {
	exchange   string
	routingKey string
	mandatory  bool
	immediate  bool
}

func (*basicPublish) id() methodID { return methodID{60, 40} }

func (m *basicPublish) fields(c *codec) {
	c.reservedShort().shortstr(&m.exchange).shortstr(&m.routingKey).bits(&m.mandatory, &m.immediate)
}

type basicReturn struct {
	replyCode  uint16
	replyText  string
	exchange   string
	routingKey string
}

func (*basicReturn) id() methodID { return methodID{60, 50} }

func (m *basicReturn) fields(c *codec) {
	c.short(&m.replyCode).cutText(&m.replyText).shortstr(&m.exchange).shortstr(&m.routingKey)
}

type basicDeliver struct {
	consumerTag string
	deliveryTag uint64
	redelivered bool
	exchange    string
	routingKey  string
}

func (*basicDeliver) id() methodID { return methodID{60, 60} }

func (m *basicDeliver) fields(c *codec) {
	c.shortstr(&m.consumerTag).longlong(&m.deliveryTag).bits(&m.redelivered).
		shortstr(&m.exchange).shortstr(&m.routingKey)
}

type basicGet struct {
	queue string
	noAck bool
}

func (*basicGet) id() methodID { return methodID{60, 70} }

func (m *basicGet) fields(c *codec) {
	c.reservedShort().text(&m.queue).bits(&m.noAck)
}

type basicGetOk struct {
	deliveryTag  uint64
	redelivered  bool
	exchange     string
	routingKey   string
	messageCount uint32
}

func (*basicGetOk) id() methodID { return methodID{60, 71} }

func (m *basicGetOk) fields(c *codec) {
	c.longlong(&m.deliveryTag).bits(&m.redelivered).shortstr(&m.exchange).
		shortstr(&m.routingKey).long(&m.messageCount)
}

type basicGetEmpty struct{}

func (*basicGetEmpty) id() methodID { return methodID{60, 72} }

func (*basicGetEmpty) fields(c *codec) {
	c.reservedShortstr()
}

// basicAck settles deliveries if it comes from a client, and confirms publishes if from a server.
// So does basicNack.
type basicAck struct {
	deliveryTag uint64
	multiple    bool
}

func (*basicAck) id() methodID { return methodID{60, 80} }

func (m *basicAck) fields(c *codec) {
	c.longlong(&m.deliveryTag).bits(&m.multiple)
}

type basicReject struct {
	deliveryTag uint64
	requeue     bool
}

func (*basicReject) id() methodID { return methodID{60, 90} }

func (m *basicReject) fields(c *codec) {
	c.longlong(&m.deliveryTag).bits(&m.requeue)
}

type basicRecoverAsync struct {
	requeue bool
}

func (*basicRecoverAsync) id() methodID { return methodID{60, 100} }

func (m *basicRecoverAsync) fields(c *codec) {
	c.bits(&m.requeue)
}

type basicRecover struct {
	requeue bool
}

func (*basicRecover) id() methodID { return methodID{60, 110} }

func (m *basicRecover) fields(c *codec) {
	c.bits(&m.requeue)
}

type basicRecoverOk struct{ noFields }

func (*basicRecoverOk) id() methodID { return methodID{60, 111} }

type basicNack struct {
	deliveryTag uint64
	multiple    bool
	requeue     bool
}

func (*basicNack) id() methodID { return methodID{60, 120} }

func (m *basicNack) fields(c *codec) {
	c.longlong(&m.deliveryTag).bits(&m.multiple, &m.requeue)
}
