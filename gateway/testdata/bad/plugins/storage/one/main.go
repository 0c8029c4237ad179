package main

import (
	_ "github.com/lockkeeper/lockkeeper/gateway/storage"
	_ "github.com/lockkeeper/lockkeeper/plugins/storage/one/part"
	_ "github.com/lockkeeper/lockkeeper/plugins/storage/two"
	_ "github.com/lockkeeper/lockkeeper/sdk"
)
