package command

// vectorRows are the commands on vector sets. They come from a module that Redis 8 ships, and a module's keys are
// reported as fully accessed.
var vectorRows = since("redis 8.0", rows{
	"vadd":     {Arity: -5, Flags: Write | DenyOOM | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vcard":    {Arity: 2, Flags: ReadOnly | Fast | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vdim":     {Arity: 2, Flags: ReadOnly | Fast | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vemb":     {Arity: -3, Flags: ReadOnly | Fast | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vgetattr": {Arity: 3, Flags: ReadOnly | Fast | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vinfo":    {Arity: 2, Flags: ReadOnly | Fast | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vismember": {Arity: 3, Flags: ReadOnly | Module, Keys: key(RW | Access | Update), Since: "redis 8.2",
		Run: Shared},
	"vlinks":      {Arity: -3, Flags: ReadOnly | Fast | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vrandmember": {Arity: -2, Flags: ReadOnly | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vrange": {Arity: -4, Flags: ReadOnly | Module, Keys: key(RW | Access | Update), Since: "redis 8.4",
		Run: Shared},
	"vrem":     {Arity: 3, Flags: Write | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vsetattr": {Arity: 4, Flags: Write | Fast | Module, Keys: key(RW | Access | Update), Run: Shared},
	"vsim":     {Arity: -4, Flags: ReadOnly | Module, Keys: key(RW | Access | Update), Run: Shared},
})
