package main

import (
	"testing"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestRefusesAWrongConfiguration(t *testing.T) { storagetest.RefusesMistakes(t) }

func TestRefusesWhatItCannotHave(t *testing.T) {
	storagetest.RefusesWhatItCannotHave(t, "VictoriaMetrics")
}

// After a mistake in the configuration the same process can be configured well.
func TestMistakeLeavesNothingBehind(t *testing.T) {
	directory := t.TempDir()
	if _, err := open(t.Context(), sdk.NewConfig("x", "256.0.0.1:1", []byte(`{"data_directory":"`+directory+`"}`))); err == nil {
		t.Fatal("an address that does not exist was accepted")
	}
	p := start(t, directory)
	p.Answers("GET", "/api/v1/query?query=1", 200, "success")
}
