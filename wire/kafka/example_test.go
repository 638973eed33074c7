package kafka_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/wire/kafka"
)

// A broker inside a program, which Kafka clients can reach as well.
func Example() {
	b, err := broker.Open("", broker.Config{FS: vfs.NewMem()}) // or a directory
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	srv, err := kafka.Listen(b, kafka.Config{Addr: "127.0.0.1:0", AutoCreate: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(srv.Addr().Network(), srv.Stats().Connections)
	if err := srv.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: tcp 0
}
