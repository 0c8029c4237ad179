package failover

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

func threeSites() map[string]string {
	return map[string]string{"berlin": "idc1", "tokyo": "idc2", "outside": ""}
}

func aLedger(self string, now time.Time) *ledger {
	return newLedger(self, threeSites(), &clock{began: now})
}

func aHold(subject string, now time.Time, lasts time.Duration) Hold {
	return Hold{Subject: subject, Action: Eject, By: "ana", At: now, Until: now.Add(lasts)}
}

// Whatever is written where, and in whatever order and how often it comes: all know the same in the end.
func TestMergeInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 1000 {
		now := start
		writers := []*ledger{aLedger("a", now), aLedger("b", now), aLedger("c", now)}
		var said [][]byte
		for range 12 {
			l := writers[random.IntN(len(writers))]
			now = now.Add(time.Duration(random.IntN(3)) * time.Second)
			subject := fmt.Sprint("machine/", random.IntN(2))
			switch random.IntN(4) {
			case 0:
				l.write(topicHold, subject, 0, time.Time{}, nil, now)
			case 1:
				l.write(topicOpinion, l.self+"/"+subject, 0, now.Add(opinionLasts), Opinion{Subject: subject, Site: "berlin", Health: Dead}, now)
			case 2:
				s := xds.Serving{Version: uint64(1 + random.IntN(3))}
				l.write(topicServing, "rules", s.Version, now.Add(memoryLasts), served{Serving: s}, now)
			default:
				h := aHold(subject, now, time.Duration(1+random.IntN(100))*time.Minute)
				l.write(topicHold, subject, 0, h.Until, h, now)
			}
			said = append(said, l.tell(now)...)
			if random.IntN(3) == 0 {
				require.NoError(t, writers[random.IntN(3)].hear(said[random.IntN(len(said))], now))
			}
		}
		var want string
		for reader := range 3 {
			l := aLedger("r", start)
			letters := append(append([][]byte{}, said...), said[:random.IntN(len(said))]...)
			random.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
			for _, letter := range letters {
				require.NoError(t, l.hear(letter, now))
			}
			got := content(l)
			if reader == 0 {
				want = got
			}
			require.Equal(t, want, got, "round %d", round)
		}
	}
}

// content is all that a ledger knows.
func content(l *ledger) string {
	text, _ := json.Marshal(l.entries)
	return string(text)
}

// What was released does not come back, however late its making comes, also when another hold took its place meanwhile and has ended.
func TestReleasedStaysReleased(t *testing.T) {
	f := func(between func(l *ledger, now time.Time), away time.Duration) {
		t.Helper()
		here, there, now := aLedger("a", start), aLedger("b", start), start
		h := aHold("machine/a", now, 24*time.Hour)
		here.write(topicHold, h.Subject, 0, h.Until, h, now)
		require.NoError(t, there.hear(here.whole(now), now))
		now = now.Add(time.Minute)
		between(here, now)
		now = now.Add(away)
		here.sweep(now)
		there.sweep(now)
		require.NoError(t, here.hear(there.whole(now), now))
		require.NoError(t, there.hear(here.whole(now), now))
		require.Nil(t, here.get(topicHold, h.Subject, now))
		require.Nil(t, there.get(topicHold, h.Subject, now))
	}
	release := func(l *ledger, now time.Time) { l.write(topicHold, "machine/a", 0, time.Time{}, nil, now) }
	replace := func(l *ledger, now time.Time) {
		h := aHold("machine/a", now, 30*time.Minute)
		l.write(topicHold, h.Subject, 0, h.Until, h, now)
	}
	f(release, 10*time.Minute)
	f(release, 23*time.Hour)
	f(release, 25*time.Hour)
	f(replace, time.Hour)
	f(replace, 30*time.Hour)
}

func TestTombstonesAreForgotten(t *testing.T) {
	l := aLedger("a", start)
	h := aHold("machine/a", start, time.Hour)
	l.write(topicHold, h.Subject, 0, h.Until, h, start)
	l.write(topicHold, h.Subject, 0, time.Time{}, nil, start)
	l.sweep(start.Add(time.Hour))
	require.Len(t, l.entries[topicHold], 1)
	l.sweep(start.Add(time.Hour + keepLonger))
	require.Empty(t, l.entries[topicHold])
	require.Zero(t, l.count)
}

// A clock that is ahead takes the others with it, up to a minute; what comes from further ahead is refused.
func TestClocks(t *testing.T) {
	f := func(ahead, want time.Duration, refused int64) {
		t.Helper()
		fast, slow := aLedger("fast", start.Add(ahead)), aLedger("slow", start)
		h := aHold("machine/a", start.Add(ahead), time.Hour)
		fast.write(topicHold, h.Subject, 0, h.Until, h, start.Add(ahead))
		require.NoError(t, slow.hear(fast.whole(start.Add(ahead)), start))
		require.Equal(t, want, slow.clock.at(start).Sub(start))
		require.Equal(t, refused, slow.refused[refusedClock])
		require.Equal(t, refused == 0, slow.get(topicHold, h.Subject, start) != nil)
	}
	f(0, 0, 0)
	f(time.Minute, time.Minute, 0)
	f(-time.Minute, 0, 0)
	f(time.Minute+time.Millisecond, 0, 1)
	f(365*24*time.Hour, 0, 1)

	// how far it is ahead is told by what it wrote last, so that the alarm's words stay
	fast, slow := aLedger("fast", start.Add(time.Hour)), aLedger("slow", start)
	for i, age := range []time.Duration{5 * time.Minute, 0, 20 * time.Minute} {
		at := start.Add(time.Hour - age)
		fast.writeAt(at.UnixNano(), topicRules, "fast/rules", 0, at.Add(time.Hour), "rules")
		require.NoError(t, slow.hear(fast.whole(at), start.Add(time.Duration(i)*time.Second)))
		fast = aLedger("fast", start.Add(time.Hour))
	}
	require.Equal(t, ahead{"fast", time.Hour - time.Second, start.Add(2 * time.Second)}, slow.ahead)
}

// What no gateway can have written is refused by itself, and what stands beside it is taken.
func TestRefused(t *testing.T) {
	f := func(reason, line string) {
		t.Helper()
		l, good := aLedger("a", start), aLedger("b", start)
		h := aHold("machine/a", start, time.Hour)
		good.write(topicHold, h.Subject, 0, h.Until, h, start)
		message := strings.Replace(string(good.whole(start)), "\n", "\n"+line+"\n", 1)
		require.NoError(t, l.hear([]byte(message), start))
		require.Equal(t, map[string]int64{reason: 1}, l.refused, line)
		require.NotNil(t, l.get(topicHold, h.Subject, start))
	}
	now, later := start.UnixNano(), start.Add(time.Hour).UnixNano()
	line := func(format string, body string) string {
		return fmt.Sprintf(`{`+format+`,"clock":%d,"origin":"c","until":%d,"keep":%d,"body":%s}`, now, later, later, body)
	}
	f(refusedMalformed, "not JSON")
	f(refusedMalformed, "[]")
	f(refusedMalformed, line(`"topic":"rumour"`, `{}`))
	f(refusedMalformed, line(`"topic":"hold","key":"machine/b"`, `{"subject":"machine/c"}`))
	f(refusedMalformed, line(`"topic":"hold","key":"machine/b"`, `{"subject":"machine/b","action":"nuke","until":"2026-01-01T13:00:00Z"}`))
	f(refusedMalformed, line(`"topic":"opinion","key":"b/machine/b"`, `{"subject":"machine/b","site":"berlin","health":"dead"}`)) // c speaks for b
	f(refusedMalformed, line(`"topic":"opinion","key":"c/machine/b"`, `{"subject":"machine/b","site":"paris","health":"dead"}`))
	f(refusedMalformed, line(`"topic":"opinion","key":"c/machine/b"`, `{"subject":"machine/b","site":"berlin","health":"tired"}`))
	f(refusedMalformed, line(`"topic":"plan"`, `{"id":"x","steps":[]}`))
	f(refusedMalformed, line(`"topic":"serving","key":"r","rank":7`, `{"serving":{"version":8}}`))
	f(refusedMalformed, line(`"topic":"serving","key":"r","rank":7`, `{"serving":{"version":7,"idcs":{"idc1":{"entry":1,"mesh":1}}}}`))
	f(refusedMalformed, line(`"topic":"serving","key":"r","rank":18446744073709551615`, `{"serving":{"version":18446744073709551615}}`))
	future, err := ParsePlan(PlanRequest{To: map[string]float64{"idc1": 100}, For: Span(time.Minute)}, twoIDCs(true), start.Add(time.Hour))
	require.NoError(t, err)
	f(refusedMalformed, line(fmt.Sprintf(`"topic":"plan","rank":%d`, future.rank()), text(future)))
	f(refusedMalformed, `{"topic":"hold","key":"machine/b","clock":0,"origin":"c","until":0,"keep":0}`)
	f(refusedMalformed, fmt.Sprintf(`{"topic":"hold","key":"machine/b","clock":%d,"origin":"c","until":0,"keep":%d}`, now, start.Add(2*mostLasts).UnixNano()))
	f(refusedExpired, fmt.Sprintf(`{"topic":"hold","key":"machine/b","clock":%d,"origin":"c","until":0,"keep":%d}`, start.Add(-2*time.Hour).UnixNano(), start.Add(-time.Hour).UnixNano()))
	f(refusedClock, fmt.Sprintf(`{"topic":"hold","key":"machine/b","clock":%d,"origin":"c","until":0,"keep":%d}`, later, later))
}

// What cannot be told is not told, and hinders nothing: names come from probes and from Envoys.
func TestCannotBeTold(t *testing.T) {
	l := aLedger("b1", start)
	v := &voices{}
	v.say(l, start, "rules", []Opinion{
		{Subject: "endpoint/\xff", Site: "berlin", Health: Dead, Since: start},
		{Subject: "endpoint/" + strings.Repeat("x", mostKey), Site: "berlin", Health: Dead, Since: start},
		{Subject: "machine/a", Site: "berlin", Health: Dead, Since: start},
	})
	require.Len(t, v.hear(l, start, map[string]string{"b1": "berlin"}), 1)
	require.Equal(t, map[string]int64{refusedMalformed: 2}, l.refused)
}

func TestForeign(t *testing.T) {
	l := aLedger("a", start)
	for _, message := range []string{"", "x", wireHead, wireHead + "whole", wireHead + "whole x\n", "lockkeeper failover 2 whole 1\n"} {
		require.Error(t, l.hear([]byte(message), start), message)
	}
	require.EqualValues(t, 6, l.refused[refusedForeign])
}

// News are told once, by who has written them, and by who meets a network that had parted.
func TestTell(t *testing.T) {
	a, b, c := aLedger("a", start), aLedger("b", start), aLedger("c", start)
	h := aHold("machine/a", start, time.Hour)
	a.write(topicHold, h.Subject, 0, h.Until, h, start)
	news := a.tell(start)
	require.Len(t, news, 1)
	require.Empty(t, a.tell(start))
	require.NoError(t, b.hear(news[0], start))
	require.Empty(t, b.tell(start), "the cluster passes it on itself")
	c.joined = true
	require.NoError(t, c.hear(a.whole(start), start))
	require.Len(t, c.tell(start), 1)
	for i := range 2000 {
		h := aHold(fmt.Sprint("machine/", i), start, time.Hour)
		a.write(topicHold, h.Subject, 0, h.Until, h, start)
	}
	many := a.tell(start)
	require.Greater(t, len(many), 5, "not all in one message")
	for _, m := range many {
		require.Less(t, len(m), 2*wirePart)
		require.NoError(t, b.hear(m, start))
	}
	require.Len(t, b.entries[topicHold], 2001)
}

// Gateways that are of another mind for ever do not overrule one another as fast as they can speak.
func TestInsisting(t *testing.T) {
	a, b, now := aLedger("a", start), aLedger("b", start), start
	writes := 0
	for range 60 {
		now = now.Add(100 * time.Millisecond)
		for _, l := range []*ledger{a, b} {
			before := l.changed[topicMemory]
			l.recall("machine/a", &memory{Health: Dead, Down: l == a}, now)
			writes += int(l.changed[topicMemory] - before)
			require.NoError(t, a.hear(l.whole(now), now))
			require.NoError(t, b.hear(l.whole(now), now))
		}
	}
	require.Less(t, writes, 20)
	require.Positive(t, a.conflicts[topicMemory])
}

// Whatever comes is taken as a gateway wrote it or refused, and what is taken can be told.
func FuzzHear(f *testing.F) {
	l := aLedger("b", start)
	h := aHold("machine/a", start, time.Hour)
	l.write(topicHold, h.Subject, 0, h.Until, h, start)
	l.write(topicHold, "machine/b", 0, time.Time{}, nil, start)
	l.write(topicOpinion, "b/machine/a", 0, h.Until, Opinion{Subject: "machine/a", Site: "berlin", Health: Dead, Since: start}, start)
	l.write(topicCluster, "b/c", 0, h.Until, []string{"endpoint/1"}, start)
	l.write(topicRules, "b/rules", 0, h.Until, "abc", start)
	l.write(topicMemory, "machine/a", 0, h.Until, memory{Health: Dead, Down: true, Falls: []time.Time{start}}, start)
	l.write(topicServing, "abc", 1, h.Until, served{Serving: xds.Serving{Version: 1, IDCs: map[string]xds.IDC{"idc1": {Entry: xds.Whole, Mesh: xds.Whole}}}}, start)
	plan, err := ParsePlan(PlanRequest{To: map[string]float64{"idc1": 100}, For: Span(time.Minute)}, twoIDCs(true), start)
	require.NoError(f, err)
	l.write(topicPlan, "", plan.rank(), h.Until, plan, start)
	f.Add(l.whole(start))
	for line := range strings.Lines(string(l.whole(start))) {
		f.Add([]byte(l.message("news", start).String() + line))
	}
	f.Add([]byte(wireHead))
	f.Fuzz(func(t *testing.T, message []byte) {
		l := aLedger("a", start)
		if l.hear(message, start) != nil {
			return
		}
		other := aLedger("c", start)
		require.NoError(t, other.hear(l.whole(start), start))
		require.Empty(t, other.refused[refusedMalformed])
		for _, topic := range topics() {
			require.Len(t, other.entries[topic], len(l.entries[topic]))
		}
		l.agreed(start)
		l.before(Decision{}, "abc", start)
		v := &voices{}
		v.say(l, start, "abc", nil)
		v.place(l, start, nil)
		v.hear(l, start, map[string]string{"b": "berlin"})
		l.tell(start)
		l.sweep(start.Add(mostLasts))
	})
}
