package measure

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// debianScript is what Debian starts RabbitMQ with once it has changed the user. Its program in
// the path, in front of that, goes through su when root calls it, which leaves our process group.
const debianScript = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// RabbitMQ is one of its own: data, cookie, ports and the port mapper that Erlang's
// machines find each other by. The mapper is a child here. Left alone, RabbitMQ would start one as
// a daemon, and nobody would end it.
func RabbitMQ(name string) Program {
	script := debianScript
	if _, err := os.Stat(script); err != nil {
		script = "rabbitmq-server"
		if path, err := exec.LookPath(script); err == nil {
			script = path
		}
	}
	return Program{
		Name: name, Path: "/bin/sh", Env: rabbitMQEnv,
		Args: func(Place) []string {
			return []string{"-c", `: >"$RABBITMQ_ENABLED_PLUGINS_FILE"; epmd & exec "$0"`, script}
		},
	}
}

func rabbitMQEnv(p Place) []string {
	_, port, _ := net.SplitHostPort(p.Addr)
	_, distribution, _ := net.SplitHostPort(p.Spare[0])
	_, mapper, _ := net.SplitHostPort(p.Spare[1])
	in := func(name string) string { return filepath.Join(p.Dir, name) }
	return []string{
		"HOME=" + p.Dir, // for the cookie
		"ERL_EPMD_PORT=" + mapper, "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_AFLAGS=-start_epmd false",
		"RABBITMQ_NODENAME=bench" + port + "@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + port,
		"RABBITMQ_DIST_PORT=" + distribution,
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_MNESIA_BASE=" + in("mnesia"), "RABBITMQ_PID_FILE=" + in("pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"),
		"RABBITMQ_CONF_ENV_FILE=" + in("none"), "RABBITMQ_CONFIG_FILE=" + in("none"),
		"RABBITMQ_LOG_BASE=" + in("log"), "RABBITMQ_LOG=error", // as tidings is told
	}
}
