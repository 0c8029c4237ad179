package probes

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// 10,000 machines at 1 Hz, answered by the kernel's own 127.1.x.y, whose work is in the figures. One operation is one second.
func BenchmarkPings10000(b *testing.B) {
	const machines = 10_000
	module := defaultModule("icmp")
	var ended, failed, late atomic.Int64
	p, err := newPinger(map[string]*Module{"icmp": &module}, func(outcomes []outcome) {
		ended.Add(int64(len(outcomes)))
		for i := range outcomes {
			switch o := &outcomes[i]; {
			case o.late:
				late.Add(1)
			case !o.OK:
				failed.Add(1)
			}
		}
	})
	if err != nil {
		b.Skip(err)
	}
	targets := make([]*Target, machines)
	for i := range targets {
		targets[i] = &Target{Module: "icmp", Target: fmt.Sprintf("127.1.%d.%d", i/250, i%250+1), Interval: time.Second}
	}
	p.set(targets)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(b.Context())
	go func() {
		defer close(done)
		p.run(ctx)
	}()
	time.Sleep(1500 * time.Millisecond) // all have begun
	before, cpu, start := ended.Load(), cpuTime(), time.Now()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	n, spent, took := ended.Load()-before, cpuTime()-cpu, time.Since(start)
	memory := residentMB(b)
	cancel()
	<-done
	b.ReportMetric(100*spent.Seconds()/took.Seconds(), "cpu-%/core")
	b.ReportMetric(float64(spent.Microseconds())/float64(n), "cpu-µs/ping")
	b.ReportMetric(float64(n)/took.Seconds(), "pings/s")
	b.ReportMetric(memory, "MB")
	b.ReportMetric(float64(failed.Load()), "failed")
	b.ReportMetric(float64(late.Load()), "discarded")
}

// cpuTime is what this process has used, in the kernel, too.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func residentMB(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / 1e6
}
