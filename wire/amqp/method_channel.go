package amqp

// The methods of the small classes: channel (20), access (30), confirm (85) and tx (90).

type channelOpen struct{}

func (*channelOpen) id() methodID { return methodID{20, 10} }

func (*channelOpen) fields(c *codec) {
	c.reservedShortstr()
}

type channelOpenOk struct{}

func (*channelOpenOk) id() methodID { return methodID{20, 11} }

func (*channelOpenOk) fields(c *codec) {
	c.reservedLongstr()
}

type channelFlow struct {
	active bool
}

func (*channelFlow) id() methodID { return methodID{20, 20} }

func (m *channelFlow) fields(c *codec) {
	c.bits(&m.active)
}

type channelFlowOk struct {
	active bool
}

func (*channelFlowOk) id() methodID { return methodID{20, 21} }

func (m *channelFlowOk) fields(c *codec) {
	c.bits(&m.active)
}

type channelClose struct {
	replyCode uint16
	replyText string
	cause     methodID
}

func (*channelClose) id() methodID { return methodID{20, 40} }

func (m *channelClose) fields(c *codec) {
	c.short(&m.replyCode).cutText(&m.replyText).short(&m.cause.class).short(&m.cause.method)
}

type channelCloseOk struct{ noFields }

func (*channelCloseOk) id() methodID { return methodID{20, 41} }

// accessRequest asks for a ticket, which earlier versions wanted in other methods. Some clients
// still send it.
type accessRequest struct {
	realm     string
	exclusive bool
	passive   bool
	active    bool
	write     bool
	read      bool
}

func (*accessRequest) id() methodID { return methodID{30, 10} }

func (m *accessRequest) fields(c *codec) {
	c.text(&m.realm).bits(&m.exclusive, &m.passive, &m.active, &m.write, &m.read)
}

type accessRequestOk struct {
	ticket uint16
}

func (*accessRequestOk) id() methodID { return methodID{30, 11} }

func (m *accessRequestOk) fields(c *codec) {
	c.short(&m.ticket)
}

type confirmSelect struct {
	noWait bool
}

func (*confirmSelect) id() methodID { return methodID{85, 10} }

func (m *confirmSelect) fields(c *codec) {
	c.bits(&m.noWait)
}

type confirmSelectOk struct{ noFields }

func (*confirmSelectOk) id() methodID { return methodID{85, 11} }

type txSelect struct{ noFields }

func (*txSelect) id() methodID { return methodID{90, 10} }

type txSelectOk struct{ noFields }

func (*txSelectOk) id() methodID { return methodID{90, 11} }

type txCommit struct{ noFields }

func (*txCommit) id() methodID { return methodID{90, 20} }

type txCommitOk struct{ noFields }

func (*txCommitOk) id() methodID { return methodID{90, 21} }

type txRollback struct{ noFields }

func (*txRollback) id() methodID { return methodID{90, 30} }

type txRollbackOk struct{ noFields }

func (*txRollbackOk) id() methodID { return methodID{90, 31} }
