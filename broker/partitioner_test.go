package broker

import "testing"

// The values are those of Kafka's own test of Utils.murmur2.
func TestKeysHashAsInKafkasClients(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q): got %d, want %d", key, got, want)
		}
	}
}

func TestKeyStaysInItsPartition(t *testing.T) {
	if got, want := KeyPartition([]byte("21"), 3),
		int(uint32(3321034988)&0x7fffffff)%3; got != want {
		t.Errorf("got partition %d, want %d", got, want)
	}
}
