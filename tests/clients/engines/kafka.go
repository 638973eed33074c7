package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// KafkaEngine is Apache Kafka: one node that is broker and controller.
type KafkaEngine struct {
	Engine
	Addr string // host:port, for clients to begin with
}

// Kafka starts an Apache Kafka for the test. It takes some 2.5 seconds until it is ready, and 5
// after a Kill: for 3 the controller believes that the broker of before is alive.
func Kafka(t testing.TB) *KafkaEngine {
	t.Helper()
	return kafkaOf(fresh(t, kafka))
}

// SharedKafka is an Apache Kafka that all tests share: see Main.
func SharedKafka(t testing.TB) *KafkaEngine {
	t.Helper()
	return kafkaOf(share(t, kafka))
}

func kafkaOf(e Engine) *KafkaEngine { return &KafkaEngine{e, e.node.place.addr(0)} }

var kafka = recipe{
	name: "kafka", ports: 2,
	missing: kafkaMissing, prepare: formatKafka, programs: kafkaPrograms,
}

func kafkaMissing() error {
	if _, err := exec.LookPath("java"); err != nil {
		return err
	}
	_, err := os.Stat(kafkaJars())
	return err
}

// kafkaJars is the directory that kafka/pom.xml fills.
func kafkaJars() string { return filepath.Join(here(), "kafka", "target", "jars") }

// here is the directory of this package.
func here() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

// kafkaSettings want the addresses of the broker and the controller, and a directory. What has a
// number of replicas has one; the session of a broker is short, because a restart waits for its end.
const kafkaSettings = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
log.dirs=%[3]s
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
`

// clusterID is the one in all directories of data: any 128 bits in base64.
const clusterID = "tidings-engine-tests-w"

func formatKafka(p *place) (*exec.Cmd, error) {
	settings := fmt.Sprintf(kafkaSettings, p.addr(0), p.addr(1), p.in("data"))
	return kafkaJava(p, "kafka.tools.StorageTool", "format", "--cluster-id", clusterID,
		"--config", p.in("server.properties")), os.WriteFile(p.in("server.properties"), []byte(settings), 0o644)
}

func kafkaPrograms(p *place) []program {
	return []program{{kafkaJava(p, "kafka.Kafka", p.in("server.properties")), "Kafka Server started"}}
}

// kafkaJava runs a class of Kafka on a Java machine that is small, soon warm, and writes nothing outside
// of the place.
func kafkaJava(p *place, class string, args ...string) *exec.Cmd {
	const log = "-Dorg.slf4j.simpleLogger."
	return p.command(nil, "java", append([]string{
		"-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData",
		"-Djava.io.tmpdir=" + p.dir,
		log + "defaultLogLevel=warn", log + "log.kafka.server.KafkaRaftServer=info",
		log + "showDateTime=true", log + "dateTimeFormat=HH:mm:ss.SSS",
		"-cp", filepath.Join(kafkaJars(), "*"), class}, args...)...)
}
