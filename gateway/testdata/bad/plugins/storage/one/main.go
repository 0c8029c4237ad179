package main

import (
	_ "github.com/lockkeeper/lockkeeper/gateway/storage"
	_ "github.com/lockkeeper/lockkeeper/plugins/notify/two"
	_ "github.com/lockkeeper/lockkeeper/plugins/storage/part"
	_ "github.com/lockkeeper/lockkeeper/sdk"
)
