package main

import (
	_ "github.com/lockkeeper/lockkeeper/gateway/envoy"
	_ "github.com/lockkeeper/lockkeeper/gateway/storage"
)
