package asyncapi

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/tidings-io/tidings"
)

// Info is what a declaration in code does not tell.
type Info struct {
	Title       string // "" is the name of the service
	Version     string // of the service's interface; "" is "0.0.0"
	Description string
	// Servers by name, such as {"production": {Host: "kafka.example.com:9092", Protocol: "kafka"}}.
	Servers map[string]Server
}

// Server is a broker, see the Server Object of the specification.
type Server struct {
	Host     string `json:"host"`
	Protocol string `json:"protocol"`
}

// Write writes the document of a service as indented JSON. It fails where a Go type has no JSON
// Schema: one that refers to itself, a channel, a function.
func Write(w io.Writer, info Info, s *tidings.Service) error {
	d, err := describe(info, s.Topology())
	if err != nil {
		return fmt.Errorf("asyncapi of service %s: %w", s.Name(), err)
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(d)
}
