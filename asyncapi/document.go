package asyncapi

import "github.com/google/jsonschema-go/jsonschema"

// The objects of AsyncAPI 3.0.0 that are written, by their names there.

type document struct {
	AsyncAPI           string               `json:"asyncapi"`
	ID                 string               `json:"id"`
	Info               infoObject           `json:"info"`
	DefaultContentType string               `json:"defaultContentType"`
	Servers            map[string]Server    `json:"servers,omitempty"`
	Channels           map[string]*channel  `json:"channels"`
	Operations         map[string]operation `json:"operations"`
	Components         components           `json:"components"`

	channelKeys, messageKeys, operationKeys keys
}

type infoObject struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
}

type reference struct {
	Ref string `json:"$ref"`
}

type channel struct {
	Address     *string              `json:"address"`
	Description string               `json:"description"`
	Messages    map[string]reference `json:"messages"`
}

type operation struct {
	Action   string      `json:"action"`
	Channel  reference   `json:"channel"`
	Summary  string      `json:"summary,omitempty"`
	Messages []reference `json:"messages,omitempty"`
	Reply    *reply      `json:"reply,omitempty"`
	Tidings  *handling   `json:"x-tidings,omitempty"`
}

type reply struct {
	Address  replyAddress `json:"address"`
	Channel  reference    `json:"channel"`
	Messages []reference  `json:"messages"`
}

type replyAddress struct {
	Location string `json:"location"`
}

// handling is the extension: who reads, and what happens when that fails.
type handling struct {
	Group       string   `json:"group"`
	DeadLetters string   `json:"deadLetters"`
	Delivery    string   `json:"delivery"`
	Order       string   `json:"order"`
	Concurrency int      `json:"concurrency"`
	Immediate   int      `json:"immediateRetries"`
	Delays      []string `json:"delayedRetries,omitempty"`
}

type components struct {
	Messages map[string]message            `json:"messages"`
	Schemas  map[string]*jsonschema.Schema `json:"schemas"`
	Traits   map[string]messageTrait       `json:"messageTraits"`
}

type message struct {
	Name        string      `json:"name"`
	Title       string      `json:"title"`
	ContentType string      `json:"contentType"`
	Traits      []reference `json:"traits"`
	Payload     any         `json:"payload"`
}

type messageTrait struct {
	Headers       *jsonschema.Schema `json:"headers"`
	CorrelationID correlation        `json:"correlationId"`
}

type correlation struct {
	Location string `json:"location"`
}
