package engines

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// MotoEngine is moto's server, which answers as AWS does. It keeps everything in memory: a Kill loses
// all of it.
type MotoEngine struct {
	Engine
	Endpoint string // a URL, for all services; any region and credentials will do
}

// Moto starts a moto for the test. It takes under a second until it is ready, the first time some more.
func Moto(t testing.TB) *MotoEngine {
	t.Helper()
	return motoOf(fresh(t, moto))
}

// SharedMoto is a moto that all tests share: see Main.
func SharedMoto(t testing.TB) *MotoEngine {
	t.Helper()
	return motoOf(share(t, moto))
}

func motoOf(e Engine) *MotoEngine { return &MotoEngine{e, "http://" + e.node.place.addr(0)} }

var moto = recipe{name: "moto", ports: 1, missing: motoMissing, programs: motoPrograms}

func motoMissing() error {
	_, err := os.Stat(motoServer())
	return err
}

// motoServer is in the environment of Python that moto/requirements.txt fills.
func motoServer() string {
	return filepath.Join(here(), "moto", ".venv-moto", "bin", "moto_server")
}

func motoPrograms(p *place) []program {
	return []program{{p.command([]string{"PYTHONUNBUFFERED=1"}, motoServer(), "-H", "127.0.0.1",
		"-p", strconv.Itoa(p.ports[0])), "Running on http://"}}
}
