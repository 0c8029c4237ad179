package pluginhost

import (
	"context"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 1500 * time.Millisecond
	backoffWork  = 30 * time.Second // the same for a plugin whose start takes that long to fail
	backoffReset = time.Minute      // of work after which earlier failures are forgotten

	binaryInterval = 100 * time.Millisecond // between two looks at a binary that may be replaced while we wait
	repeatInterval = time.Minute            // between two lines in the log that say the same
)

// backoff is how long to wait after so many failures in a row: 100 ms, doubled each time up to 1.5 s, so that whatever ends
// a fault has the plugin back in two; or up to what the failed start took, so that starting takes half of the time at
// most. Up to half of it is taken away by random (0 to 1), so that what fails together does not come back together.
func backoff(failures int, start time.Duration, random float64) time.Duration {
	wait := max(backoffMost, min(start, backoffWork))
	if failures < 16 {
		wait = min(wait, backoffFirst<<failures)
	}
	return wait - time.Duration(random*float64(wait)/2)
}

// wait says that the plugin is down and lets the time before its restart pass, or less when its binary is replaced: who has
// done that does not want to wait. again is false when ctx ended first.
func (p *process) wait(ctx context.Context, err error, delay time.Duration) (again, replaced bool) {
	if ctx.Err() != nil {
		return false, false
	}
	p.complain(err, delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	look := time.NewTicker(binaryInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, false
		case <-timer.C:
			return true, false
		case <-look.C:
			if p.binaryChanged() {
				return true, true
			}
		}
	}
}

// complain says why the plugin is down; once a minute when it is always the same.
func (p *process) complain(err error, delay time.Duration) {
	level := zapcore.ErrorLevel
	if err.Error() == p.complaint && time.Since(p.complained) < repeatInterval {
		level = zapcore.DebugLevel
	} else {
		p.complaint, p.complained = err.Error(), time.Now()
	}
	p.change(stateBackoff, nil, err)
	p.log.Log(level, "plugin is down, restarting it", zap.Error(err), zap.Duration("in", delay))
}
