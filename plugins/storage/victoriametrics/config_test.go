package main

import (
	"testing"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
)

func TestReadmeShowsTheDefaults(t *testing.T) { storagetest.Readme(t, "victoriametrics", defaults()) }
