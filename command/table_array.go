package command

// arrayRows are the commands on sparse arrays, which Redis 8.8 brought.
var arrayRows = since("redis 8.8", rows{
	"arcount":     {Arity: 2, Flags: ReadOnly | Fast, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"ardel":       {Arity: -3, Flags: Write | Fast, Cats: CatArray, Keys: key(RW | Delete), Run: Shared},
	"ardelrange":  {Arity: -4, Flags: Write, Cats: CatArray, Keys: key(RW | Delete), Run: Shared},
	"arget":       {Arity: 3, Flags: ReadOnly | Fast, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"argetrange":  {Arity: 4, Flags: ReadOnly, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"argrep":      {Arity: -6, Flags: ReadOnly, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"arinfo":      {Arity: -2, Flags: ReadOnly, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"arinsert":    {Arity: -3, Flags: Write | DenyOOM | Fast, Cats: CatArray, Keys: key(RW | Update), Run: Shared},
	"arlastitems": {Arity: -3, Flags: ReadOnly, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"arlen":       {Arity: 2, Flags: ReadOnly | Fast, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"armget":      {Arity: -3, Flags: ReadOnly | Fast, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"armset":      {Arity: -4, Flags: Write | DenyOOM | Fast, Cats: CatArray, Keys: key(RW | Update), Run: Shared},
	"arnext":      {Arity: 2, Flags: ReadOnly | Fast, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"arop":        {Arity: -5, Flags: ReadOnly, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"arring":      {Arity: -4, Flags: Write | DenyOOM, Cats: CatArray, Keys: key(RW | Update), Run: Shared},
	"arscan":      {Arity: -4, Flags: ReadOnly, Cats: CatArray, Keys: key(RO | Access), Run: Shared},
	"arseek":      {Arity: 3, Flags: Write | Fast, Cats: CatArray, Keys: key(RW | Update), Run: Shared},
	"arset":       {Arity: -4, Flags: Write | DenyOOM | Fast, Cats: CatArray, Keys: key(RW | Update), Run: Shared},
})
