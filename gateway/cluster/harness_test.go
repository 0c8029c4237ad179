package cluster

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.uber.org/goleak"
)

// The library ends a question that is under way only when its time is over: within some seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// patience is how long something may take on a busy machine.
const patience = time.Minute

const (
	keyA = "QUFBQUFBQUFBQUFBQUFBQQ=="
	keyB = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC"
)

// register is a state: of each name the highest number.
type register struct {
	mu      sync.Mutex
	numbers map[string]int
	merged  atomic.Int64
	changed chan struct{}
}

func newRegister() *register {
	return &register{numbers: map[string]int{}, changed: make(chan struct{}, 1)}
}

func (r *register) MarshalBinary() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return json.Marshal(r.numbers)
}

func (r *register) Merge(b []byte) error {
	numbers := map[string]int{}
	if err := json.Unmarshal(b, &numbers); err != nil {
		return err
	}
	r.merged.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, n := range numbers {
		r.numbers[name] = max(r.numbers[name], n)
	}
	select {
	case r.changed <- struct{}{}:
	default:
	}
	return nil
}

// set sets a number, and returns the change.
func (r *register) set(name string, n int) []byte {
	change, _ := json.Marshal(map[string]int{name: n})
	_ = r.Merge(change)
	return change
}

func (r *register) get(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.numbers[name]
}

func (r *register) all() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.numbers)
}

// hostWith is the Collector with some extensions.
type hostWith map[component.ID]component.Component

func (h hostWith) GetExtensions() map[component.ID]component.Component { return h }

// network cuts members off from one another.
type network struct {
	mu  sync.Mutex
	cut map[[2]netip.AddrPort]bool
}

func (n *network) set(cut bool, a, b *cluster) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut == nil {
		n.cut = map[[2]netip.AddrPort]bool{}
	}
	n.cut[[2]netip.AddrPort{a.transport.advertise, b.transport.advertise}] = cut
	n.cut[[2]netip.AddrPort{b.transport.advertise, a.transport.advertise}] = cut
}

func (n *network) blocks(from, to netip.AddrPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut[[2]netip.AddrPort{from, to}]
}

// make makes a cluster, which is not started.
func (n *network) make(t testing.TB, name, site string, join []string, keys ...string) *cluster {
	t.Helper()
	cfg := createDefaultConfig()
	cfg.Name, cfg.Site, cfg.Endpoint, cfg.Join = name, site, "127.0.0.1:0", join
	for _, key := range keys {
		cfg.Keys = append(cfg.Keys, configopaque.String(key))
	}
	require.NoError(t, cfg.Validate())
	c, err := newCluster(cfg, "1.2.3", componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	c.adjust = func(*memberlist.Config) {
		c.transport.blocked = func(to netip.AddrPort) bool { return n.blocks(c.transport.advertise, to) }
	}
	return c
}

func start(t testing.TB, c *cluster) string {
	t.Helper()
	require.NoError(t, c.Start(context.Background(), hostWith{}))
	t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
	return c.transport.advertise.String()
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, patience, 5*time.Millisecond, what)
}

// three are three members, each of a site, that know one another. Each has a register.
func three(t testing.TB, n *network, keys ...string) (members []*cluster, registers []*register, channels []func(name string, number int)) {
	t.Helper()
	var join []string
	for i, site := range []string{"berlin", "tokyo", "outside"} {
		c := n.make(t, "gateway-"+site, site, join, keys...)
		r := newRegister()
		channel := c.AddState("reg", r)
		join = append(join, start(t, c))
		members, registers = append(members, c), append(registers, r)
		channels = append(channels, func(name string, number int) { channel.Broadcast(registers[i].set(name, number)) })
	}
	// Those that started first do not know where the others are: they tell them.
	for _, c := range members {
		eventually(t, "all know all", func() bool { return len(c.Alive()) == 3 })
	}
	return members, registers, channels
}

// long is a name that is too long for gossip, however it is compressed.
func long(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return hex.EncodeToString(b)
}
