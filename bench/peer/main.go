// Command peer serves Kafka with franz-go's kfake, with its data on disk and every batch
// synced before it is acknowledged: the peer that the benchmarks compare with.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	dir := flag.String("data", "", "data directory")
	flag.Parse()
	c, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(0), kfake.DataDir(*dir), kfake.SyncWrites())
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
	fmt.Printf("  Kafka  %s\n", c.ListenAddrs()[0])
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	c.Close()
}
