package engines

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// RabbitMQEngine is RabbitMQ: one node, without plugins.
type RabbitMQEngine struct {
	Engine
	URL string // amqp://, with the user guest, who may do everything, and the virtual host /
}

// RabbitMQ starts a RabbitMQ for the test. It takes some 6 seconds until it is ready, and 5 after a Kill.
func RabbitMQ(t testing.TB) *RabbitMQEngine {
	t.Helper()
	return rabbitMQOf(fresh(t, rabbitMQ))
}

// SharedRabbitMQ is a RabbitMQ that all tests share: see Main.
func SharedRabbitMQ(t testing.TB) *RabbitMQEngine {
	t.Helper()
	return rabbitMQOf(share(t, rabbitMQ))
}

func rabbitMQOf(e Engine) *RabbitMQEngine {
	return &RabbitMQEngine{e, "amqp://guest:guest@" + e.node.place.addr(0) + "/"}
}

// Kill sends SIGKILL once the names of queues are on disk. RabbitMQ 3.10 says that a queue is there up
// to 3 s before it has written that; of one that it forgot nothing is left, and whoever consumes from a
// quorum queue waits for its leader for ever.
func (e *RabbitMQEngine) Kill() {
	e.t.Helper()
	const write = "mnesia:sync_log(), [dets:sync(T) || T <- dets:all()], ok."
	p := e.node.place
	ctl := p.command(rabbitMQEnv(p), rabbitMQScript("rabbitmqctl"), "-q", "-n", rabbitMQNode(p), "eval", write)
	if out, err := ctl.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "ok" {
		e.t.Fatalf("rabbitmqctl eval: got %q, %v, want ok", out, err)
	}
	e.Engine.Kill()
}

var rabbitMQ = recipe{
	name: "rabbitmq", ports: 3,
	missing: rabbitMQMissing, prepare: noPlugins, programs: rabbitMQPrograms,
}

func rabbitMQMissing() error {
	if _, err := exec.LookPath("epmd"); err != nil {
		return err
	}
	_, err := exec.LookPath(rabbitMQScript("rabbitmq-server"))
	return err
}

// rabbitMQScript is a program of RabbitMQ. Those of Debian in the path change the user first, with su,
// which would leave our group.
func rabbitMQScript(name string) string {
	debian := "/usr/lib/rabbitmq/bin/" + name
	if _, err := os.Stat(debian); err == nil {
		return debian
	}
	return name
}

func noPlugins(p *place) (*exec.Cmd, error) {
	return nil, os.WriteFile(p.in("plugins"), []byte("[].\n"), 0o644)
}

// rabbitMQPrograms are the port mapper, by which Erlang's machines find each other, and RabbitMQ.
// Left alone, RabbitMQ would start the mapper as a daemon, and nobody would end it.
func rabbitMQPrograms(p *place) []program {
	env := rabbitMQEnv(p)
	return []program{
		{p.command(env, "epmd", "-d"), "epmd running"},
		{p.command(env, rabbitMQScript("rabbitmq-server")), "Server startup complete"},
	}
}

func rabbitMQNode(p *place) string { return fmt.Sprintf("tidings%d@localhost", p.ports[0]) }

// rabbitMQEnv keeps everything of RabbitMQ in the place. ALLOW_INPUT makes its script become the Erlang
// machine, which is then the process that we know, instead of waiting for it.
func rabbitMQEnv(p *place) []string {
	return []string{
		"HOME=" + p.dir, // for the cookie
		fmt.Sprintf("ERL_EPMD_PORT=%d", p.ports[2]), "ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_AFLAGS=-start_epmd false",
		"RABBITMQ_NODENAME=" + rabbitMQNode(p),
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODE_PORT=%d", p.ports[0]),
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", p.ports[1]),
		"RABBITMQ_ALLOW_INPUT=1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-noinput -kernel inet_dist_use_interface {127,0,0,1}" +
			" +sbwt none +sbwtdcpu none +sbwtdio none", // do not spin while there is nothing to do
		"RABBITMQ_MNESIA_BASE=" + p.in("mnesia"), "RABBITMQ_PID_FILE=" + p.in("pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + p.in("plugins"),
		"RABBITMQ_CONF_ENV_FILE=" + p.in("none"), "RABBITMQ_CONFIG_FILE=" + p.in("none"),
		"RABBITMQ_LOG_BASE=" + p.in("log"), "RABBITMQ_LOGS=-",
	}
}
