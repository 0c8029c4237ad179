package sdk

import (
	_ "github.com/lockkeeper/lockkeeper/probes"
	_ "github.com/lockkeeper/lockkeeper/sdk/proto"
)
