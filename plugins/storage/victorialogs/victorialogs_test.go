package main

import (
	"testing"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	sdktest.Process(t, storagetest.Build(t), map[string]any{"data_directory": t.TempDir()})
}
