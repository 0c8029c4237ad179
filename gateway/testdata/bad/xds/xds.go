package xds

import _ "github.com/lockkeeper/lockkeeper/gateway"
