package main

import amqp "github.com/rabbitmq/amqp091-go"

// queueKinds are RabbitMQ's kinds of queue, and the arguments that ask for them.
var queueKinds = []struct {
	name string
	args amqp.Table
}{
	{"RabbitMQ classic v1", amqp.Table{"x-queue-type": "classic", "x-queue-version": int32(1)}},
	{"RabbitMQ classic v2", amqp.Table{"x-queue-type": "classic", "x-queue-version": int32(2)}},
	{"RabbitMQ quorum", amqp.Table{"x-queue-type": "quorum"}},
}

// queueArgs is what queues of a server are declared with: nothing, where there is one kind.
func queueArgs(server string) amqp.Table {
	for _, kind := range queueKinds {
		if kind.name == server {
			return kind.args
		}
	}
	return nil
}
