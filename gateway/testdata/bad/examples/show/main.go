package main

import (
	_ "github.com/lockkeeper/lockkeeper/examples/show/part"
	_ "github.com/lockkeeper/lockkeeper/gateway/mesh"
	_ "github.com/lockkeeper/lockkeeper/sdk"
)
