package amqp

// The methods of class connection (10), which travel on channel 0.

type connectionStart struct {
	versionMajor     uint8
	versionMinor     uint8
	serverProperties Table
	mechanisms       string // separated by spaces
	locales          string // separated by spaces
}

func (*connectionStart) id() methodID { return methodID{10, 10} }

func (m *connectionStart) fields(c *codec) {
	c.octet(&m.versionMajor).octet(&m.versionMinor).table(&m.serverProperties).
		longstr(&m.mechanisms).longstr(&m.locales)
}

type connectionStartOk struct {
	clientProperties Table
	mechanism        string
	response         string // PLAIN: NUL user NUL password; AMQPLAIN: a table without its length
	locale           string
}

func (*connectionStartOk) id() methodID { return methodID{10, 11} }

func (m *connectionStartOk) fields(c *codec) {
	c.table(&m.clientProperties).text(&m.mechanism).longstr(&m.response).text(&m.locale)
}

type connectionSecure struct {
	challenge string
}

func (*connectionSecure) id() methodID { return methodID{10, 20} }

func (m *connectionSecure) fields(c *codec) {
	c.longstr(&m.challenge)
}

type connectionSecureOk struct {
	response string
}

func (*connectionSecureOk) id() methodID { return methodID{10, 21} }

func (m *connectionSecureOk) fields(c *codec) {
	c.longstr(&m.response)
}

type connectionTune struct {
	channelMax uint16 // 0 is no limit
	frameMax   uint32 // overhead included; 0 is no limit
	heartbeat  uint16 // seconds; 0 is none
}

func (*connectionTune) id() methodID { return methodID{10, 30} }

func (m *connectionTune) fields(c *codec) {
	c.short(&m.channelMax).long(&m.frameMax).short(&m.heartbeat)
}

type connectionTuneOk struct {
	channelMax uint16
	frameMax   uint32
	heartbeat  uint16
}

func (*connectionTuneOk) id() methodID { return methodID{10, 31} }

func (m *connectionTuneOk) fields(c *codec) {
	c.short(&m.channelMax).long(&m.frameMax).short(&m.heartbeat)
}

type connectionOpen struct {
	virtualHost string
}

func (*connectionOpen) id() methodID { return methodID{10, 40} }

func (m *connectionOpen) fields(c *codec) {
	c.text(&m.virtualHost).reservedShortstr().reservedBits()
}

type connectionOpenOk struct{}

func (*connectionOpenOk) id() methodID { return methodID{10, 41} }

func (*connectionOpenOk) fields(c *codec) {
	c.reservedShortstr()
}

type connectionClose struct {
	replyCode uint16
	replyText string
	cause     methodID // zeros if no method is to blame
}

func (*connectionClose) id() methodID { return methodID{10, 50} }

func (m *connectionClose) fields(c *codec) {
	c.short(&m.replyCode).cutText(&m.replyText).short(&m.cause.class).short(&m.cause.method)
}

type connectionCloseOk struct{ noFields }

func (*connectionCloseOk) id() methodID { return methodID{10, 51} }

type connectionBlocked struct {
	reason string
}

func (*connectionBlocked) id() methodID { return methodID{10, 60} }

func (m *connectionBlocked) fields(c *codec) {
	c.cutText(&m.reason)
}

type connectionUnblocked struct{ noFields }

func (*connectionUnblocked) id() methodID { return methodID{10, 61} }

type connectionUpdateSecret struct {
	newSecret string
	reason    string
}

func (*connectionUpdateSecret) id() methodID { return methodID{10, 70} }

func (m *connectionUpdateSecret) fields(c *codec) {
	c.longstr(&m.newSecret).text(&m.reason)
}

type connectionUpdateSecretOk struct{ noFields }

func (*connectionUpdateSecretOk) id() methodID { return methodID{10, 71} }
