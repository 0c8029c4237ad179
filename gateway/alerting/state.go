package alerting

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	retention    = 120 * time.Hour  // of silences that are over and of what was told of, as Alertmanager has it
	stateGC      = 15 * time.Minute // how often these are looked through
	alertsGC     = time.Minute      // how often alerts that are over are dropped
	diskPatience = 10 * time.Second // how long a line of the notification log may take
)

// The files of the state, in data_directory.
const (
	silencesFile = "silences"
	toldFile     = "nflog" // as Alertmanager calls it
	alertsFile   = "alerts"
)

func stateFiles() []string { return []string{silencesFile, toldFile, alertsFile} }

// state is what outlives the gateway: silences, what was told of, and the alerts. Each has a journal.
type state struct {
	silences *silence.Silences
	silencer *silence.Silencer
	told     *notificationLog
	intake   *intake

	silenced *journal
	alerts   *mem.Alerts
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// openState reads the data directory. What cannot be read there is put aside: alerting without a past is better than none.
func (a *alerting) openState() (*state, error) {
	if err := os.MkdirAll(a.cfg.DataDirectory, 0o700); err != nil {
		return nil, fmt.Errorf("data_directory: %w", err)
	}
	silences := func(past io.Reader, metrics prometheus.Registerer) (*silence.Silences, error) {
		return silence.New(silence.Options{SnapshotReader: past, Retention: retention, Logger: a.slog, Metrics: metrics})
	}
	told := func(past io.Reader, metrics prometheus.Registerer) (*nflog.Log, error) {
		return nflog.New(nflog.Options{SnapshotReader: past, Retention: retention, Logger: a.slog, Metrics: metrics})
	}
	pastSilences, err1 := past(a, silencesFile, func(r []byte) error { return second(silences(bytes.NewReader(r), prometheus.NewRegistry())) })
	pastTold, err2 := past(a, toldFile, func(r []byte) error { return second(told(bytes.NewReader(r), prometheus.NewRegistry())) })
	pastAlerts, err3 := past(a, alertsFile, func(r []byte) error { return second(decodeAlerts(r)) })
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("data_directory: %w", err)
	}
	s := &state{}
	var err error
	if s.silences, err = silences(bytes.NewReader(pastSilences), a.registry); err != nil {
		return nil, err
	}
	s.told = &notificationLog{}
	if s.told.log, err = told(bytes.NewReader(pastTold), a.registry); err != nil {
		return nil, err
	}
	s.silencer = silence.NewSilencer(s.silences, a.slog, eventrecorder.Recorder{})
	s.alerts, err = mem.NewAlerts(context.Background(), alertsGC, 0, s.silencer, a.slog, eventrecorder.Recorder{}, a.registry, featurecontrol.NoopFlags{})
	if err != nil {
		return nil, err
	}
	known, _ := decodeAlerts(pastAlerts) // read before without an error
	s.intake = &intake{Alerts: s.alerts, metrics: a.metrics, most: a.cfg.MaxAlerts, known: known}
	if err := s.openJournals(a); err != nil { // they are rewritten from what is known
		s.close()
		return nil, fmt.Errorf("data_directory: %w", err)
	}
	return s, nil
}

// past reads a journal whose records take can read, else none of it.
func past(a *alerting, name string, take func(records []byte) error) ([]byte, error) {
	path := filepath.Join(a.cfg.DataDirectory, name)
	records, damaged, err := readJournal(path)
	if err != nil {
		return nil, err
	}
	unreadable := take(records)
	if unreadable != nil {
		records, damaged = nil, true
		err = os.Rename(path, path+damagedSuffix)
	}
	if damaged {
		a.metrics.damaged(name)
		a.log.Error("what alerting kept is damaged: going on with what can be read of it",
			zap.String("kept_as", path+damagedSuffix), zap.Error(unreadable))
	}
	return records, err
}

func second[T any](_ T, err error) error { return err }

// openJournals starts to write.
func (s *state) openJournals(a *alerting) (err error) {
	open := func(name string, snapshot func(io.Writer) (int64, error)) *journal {
		failed := func(err error) {
			a.metrics.unwritten(name)
			a.log.Error("what alerting must keep is not on disk, trying again", zap.Error(err))
		}
		j, e := openJournal(filepath.Join(a.cfg.DataDirectory, name), snapshot, failed)
		err = errors.Join(err, e)
		return j
	}
	s.silenced = open(silencesFile, s.silences.Snapshot)
	s.told.journal = open(toldFile, s.told.log.Snapshot)
	s.intake.journal = open(alertsFile, s.intake.snapshot)
	if err != nil {
		return err
	}
	s.share(a.peers, "sil", s.silences, &shared{State: s.silences, file: silencesFile, journal: s.silenced, metrics: a.metrics, stamp: silenceStamp(s.silences)})
	s.share(a.peers, "nfl", s.told.log, &shared{State: s.told.log, file: toldFile, journal: s.told.journal, metrics: a.metrics, stamp: toldStamp(s.told.log)})
	running, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for _, j := range []*journal{s.silenced, s.told.journal, s.intake.journal} {
		s.running.Go(func() { j.run(running) })
	}
	s.running.Go(func() { s.silences.Maintenance(stateGC, "", running.Done(), nil) })
	s.running.Go(func() { s.told.log.Maintenance(stateGC, "", running.Done(), nil) })
	s.running.Go(func() { every(running, alertsGC, s.intake.sweep) })
	return nil
}

// broadcaster is what tells of each of its changes.
type broadcaster interface{ SetBroadcast(func([]byte)) }

// share brings changes to the disk and to the other gateways. The keys are Alertmanager's.
func (*state) share(p *peers, key string, changes broadcaster, s *shared) {
	changes.SetBroadcast(s.journal.append)
	if p == nil {
		return
	}
	others := p.AddState(key, s)
	changes.SetBroadcast(func(record []byte) {
		s.journal.append(record)
		others.Broadcast(record)
	})
}

// close writes what is left.
func (s *state) close() {
	if s.cancel != nil {
		s.cancel()
	}
	s.running.Wait()
	s.alerts.Close()
}

// every calls do at an interval until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}
