package embedded

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/tidings-io/tidings/console"
	"github.com/tidings-io/tidings/storage/vfs"
)

// TestAGroupIsShownAsAnyOther, with its lag, and its address among the queues.
func TestAGroupIsShownAsAnyOther(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	c := h.subscribe(t, one("billing"))
	h.publish(t, event("orders", "k", 1), event("orders", "k", 2), event("orders", "k", 3))
	ack(t, receive(t, c, 1)...)
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := console.Listen(h.b, console.Config{Addr: "127.0.0.1:0", Metrics: &console.Metrics{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	var lags console.Lags
	get(t, "http://"+s.Addr().String()+"/api/v1/lag", &lags)
	if len(lags.Lag) != 1 || lags.Lag[0].Group != "billing" || lags.Lag[0].Topic != "orders" || lags.Lag[0].Lag != 2 {
		t.Errorf("got %+v", lags)
	}
	var groups console.Groups
	get(t, "http://"+s.Addr().String()+"/api/v1/groups", &groups)
	if len(groups.Groups) != 1 || groups.Groups[0].Name != "billing" || groups.Groups[0].Lag != 2 {
		t.Errorf("got %+v", groups)
	}
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}
