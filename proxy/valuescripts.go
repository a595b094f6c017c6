package proxy

// Scripts of the proxy's own that run in the upstream.

// fieldsScript sets fields of a hash to values of the same meaning: their time to
// live stays, which HSET would end.
const fieldsScript = `local k=KEYS[1] for i=1,#ARGV,2 do local f=ARGV[i] ` +
	`local t=redis.call('HPEXPIRETIME',k,'FIELDS',1,f)[1] ` +
	`redis.call('HSET',k,f,ARGV[i+1]) ` +
	`if t and t>0 then redis.call('HPEXPIREAT',k,t,'FIELDS',1,f) end end return 1`

// wrapText is a function that puts a header in front of a value.
const wrapText = `local function wrap(v) ` +
	`local h,n={252,82,158,16,0},#v ` +
	`repeat local b=n%128 n=(n-b)/128 if n>0 then b=b+128 end h[#h+1]=b until n==0 ` +
	`local x,c=bit.bxor,2166136261 ` +
	`for i=1,#h do c=x(c,h[i])%4294967296 c=(c*403+c%256*16777216)%4294967296 end ` +
	`h[#h+1]=x(x(c,bit.rshift(c,8)),x(bit.rshift(c,16),bit.rshift(c,24)))%256 ` +
	`return string.char(unpack(h))..v end ` +
	`local k,magic=KEYS[1],string.char(252,82,158) `

// wrapScript puts a header in front of a string that is plain and begins with
// a sealed value's first bytes.
const (
	wrapScript = wrapLines + `return 1`
	wrapLines  = wrapText + `if redis.pcall('GETRANGE',k,0,2)==magic then ` +
		`redis.call('SET',k,wrap(redis.call('GET',k)),'KEEPTTL') end `
)

// restoreScript is RESTORE, after which such a string, or such values of a hash, have
// a header.
const restoreScript = wrapText + `local r=redis.pcall('RESTORE',k,unpack(ARGV)) if r.err then return r end ` +
	`local t=redis.call('TYPE',k).ok ` +
	`if t=='string' then if redis.call('GETRANGE',k,0,2)==magic then redis.call('SET',k,wrap(redis.call('GET',k)),'KEEPTTL') end ` +
	`elseif t=='hash' then local a=redis.call('HGETALL',k) ` +
	`for i=1,#a,2 do if string.sub(a[i+1],1,3)==magic then ` +
	`local e=redis.pcall('HPEXPIRETIME',k,'FIELDS',1,a[i]) ` +
	`redis.call('HSET',k,a[i],wrap(a[i+1])) ` +
	`if type(e)=='table' and e[1] and e[1]>0 then redis.call('HPEXPIREAT',k,e[1],'FIELDS',1,a[i]) end ` +
	`end end end return r`

// swapScript puts values in place of others of the same meaning, where those are still there:
// the string, or, given fields, those of a hash.
const swapScript = `local k=KEYS[1] ` +
	`if #ARGV==2 then if redis.pcall('GET',k)==ARGV[1] then redis.call('SET',k,ARGV[2],'KEEPTTL') end return 1 end ` +
	`for i=1,#ARGV,3 do local f=ARGV[i] if redis.pcall('HGET',k,f)==ARGV[i+1] then ` +
	`local e=redis.pcall('HPEXPIRETIME',k,'FIELDS',1,f) ` +
	`redis.call('HSET',k,f,ARGV[i+2]) ` +
	`if type(e)=='table' and e[1] and e[1]>0 then redis.call('HPEXPIREAT',k,e[1],'FIELDS',1,f) end ` +
	`end end return 1`
