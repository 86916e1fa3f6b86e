//! What is asked, one question a line, and the requests about which it is asked.

use super::Request;

pub(super) const REQUESTS: &[Request] = &[
    Request {
        method: "GET",
        target: "/a/b/file.php?x=1&y=two&x=3&empty=&sp=a+b%20c",
        headers: &[
            ("Host", "Www.Example.COM:8080"),
            ("User-Agent", "Very \"Ugly\" UA 1/2"),
            ("Accept-Language", "fr;q=0.7,en-US,de;q=0.9"),
            ("X-List", "one, two ,\"th,ree\",four"),
            ("X-List", "five"),
            ("X-Num", "42"),
            ("X-Forwarded-For", "10.1.2.3, 192.168.7.9"),
            ("Cookie", "a=1; b = two ;c=\"three\"; a=4"),
            ("Cookie", "d=5"),
            ("Authorization", "Basic dXNlcjpwYXNz"),
            ("Forwarded", "for=\"[2001:db8::1]:80\";proto=https;host=example.org"),
            ("X-Empty", ""),
        ],
        body: b"",
    },
    Request {
        method: "POST",
        target: "/post;p=1?q",
        headers: &[
            ("Host", "[::1]"),
            ("Content-Length", "44"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("X-Num", "-5x"),
            ("X-Forwarded-For", "not-an-ip, [2001:db8::2]:99, 1.2.3.4:80"),
            ("Authorization", "Bearer abc.def.ghi"),
        ],
        body: b"user=bob&pass=s%26cret&user=eve&json={\"a\":1}",
    },
    Request { method: "OPTIONS", target: "*", headers: &[("Host", "localhost")], body: b"" },
    Request {
        method: "PURGE",
        target: "http://192.0.2.7:8443/x/y?z=%3f&frag",
        headers: &[("Host", "192.0.2.7:8443"), ("X-Num", "18446744073709551615")],
        body: b"",
    },
];

pub(super) const EXPRESSIONS: &[&str] = &[CONSTANTS, REQUEST, CONVERTERS, CASTS];

const CONSTANTS: &str = r#"
str(hello)
str()
str
str("a,b)c")
str("a b")
str(a\,b)
str( padded )
str(a\x)
str(a\\b)
str("a\x")
str("a\\b")
str("a\"b")
str("a\ b\#c")
str("a\1b")
str(a"b,c"d)
str(a\nb),hex
str(a\"b)
str(a\ b)
str(a\)b)
str("a\)b")
str("")
int(5)
int(-5)
bool(true)
bool(0)
bin(0041ff)
bin(0)
bin(zz)
ipv4(1.2.3.4)
ipv6(2001:db8::1)
ipv6(::1.2.3.4)
ipv6(::ffff:1.2.3.4)
meth(GET)
meth(FOO)
always_true
always_false
env(ORACLE)
env(NOTHING)
var(txn.text)
var(txn.number)
var(txn.bin)
var(txn.ip)
var(txn.none)
var(txn.none,default)
var(bad.scope)
src
dst
fc_src
nbproc
proc
fe_name
wait_end
foo
str(a),foo
str(a
lower(x)
"#;

const REQUEST: &str = r#"
method
path
pathq
query
url
url_ip
url_port
base
base32
base32+src
url32
url32+src
req.ver
req_ver
req.proto_http
capture.req.method
capture.req.uri
capture.req.ver
req.hdr(x-list)
req.hdr(x-list,1)
req.hdr(x-list,2)
req.hdr(x-list,3)
req.hdr(x-list,-1)
req.hdr(x-list,-2)
req.hdr(x-list,9)
req.hdr(X-LIST)
req.hdr(x-empty)
req.hdr(x-none)
req.fhdr(x-list)
req.fhdr(x-list,1)
req.fhdr(x-list,-2)
req.fhdr(user-agent)
hdr(host)
req.hdr_cnt(x-list)
req.hdr_cnt(x-none)
req.hdr_cnt
req.fhdr_cnt(x-list)
req.fhdr_cnt
req.hdr_ip(x-forwarded-for)
req.hdr_ip(x-forwarded-for,1)
req.hdr_ip(x-forwarded-for,-2)
hdr_ip(x-forwarded-for,2)
hdr_ip(host)
req.hdr_val(x-num)
hdr_val(x-num)
hdr_val(host)
req.hdr_names
req.hdr_names(-)
req.hdrs
req.hdrs,length
req.hdrs_bin,hex
req.cook(a)
req.cook(b)
req.cook(c)
req.cook(d)
req.cook(none)
req.cook
cook(a)
cookie(a)
req.cook_cnt(a)
req.cook_cnt
req.cook_val(a)
req.cook_val(b)
req.cook_val(d)
url_param(x)
urlp(y)
urlp(empty)
urlp(sp)
urlp(none)
urlp
urlp(p,;)
urlp_val(x)
urlp_val(y)
urlp(z)
req.body
req.body_len
req.body_size
req.body_param(user)
req.body_param(pass)
req.body_param(none)
req.body_param
req.body,length
http_auth_user
http_auth_pass
http_auth_type
http_auth_bearer
http_auth_bearer(x-none)
status
res.hdr(a)
"#;

const CONVERTERS: &str = r#"
int(5),add(3)
int(5),add(-8)
int(5),add(txn.number)
int(5),add(txn.text)
int(5),add(txn.none)
int(9223372036854775807),add(1)
int(-9223372036854775808),sub(1)
int(5),sub(7)
int(5),mul(7)
int(4611686018427387904),mul(4)
int(7),div(2)
int(-7),div(2)
int(7),div(0)
int(7),mod(4)
int(-7),mod(4)
int(7),mod(0)
int(12),and(10)
int(12),or(3)
int(12),xor(10)
int(5),neg
int(5),cpl
int(0),bool
int(5),bool
int(0),not
int(6),even
int(6),odd
int(305419896),htonl,hex
int(-1),htonl,hex
int(4294967296),htonl,hex
bool(true),iif(yes,no)
bool(false),iif(yes,no)
int(3),iif(yes,no)
str(HeLLo),lower
str(HeLLo),upper
str(hello),length
str(hello),bytes(1)
str(hello),bytes(1,2)
str(hello),bytes(5)
str(hello),bytes(9)
str(hello),bytes(1,99)
bin(0102030405),bytes(2,2)
str(xxhixx),ltrim(x)
str(xxhixx),rtrim(x)
str(xxxx),ltrim(x)
str(xxxx),rtrim(x)
str(f1_f2_f3__f5),field(5,_)
str(f1_f2_f3__f5),field(2,_,0)
str(f1_f2_f3__f5),field(2,_,2)
str(f1_f2_f3__f5),field(-2,_,3)
str(f1_f2_f3__f5),field(-3,_,0)
str(f1_f2_f3__f5),field(4,_)
str(f1_f2_f3__f5),field(9,_)
str(f1_f2_f3__f5),field(-9,_)
str(f1_f2_f3__f5),field(3,_,9)
str(f1_f2_f3__f5),field(0,_)
str(f1_f2_f3__f5),word(4,_)
str(f1_f2_f3__f5),word(2,_,0)
str(f1_f2_f3__f5),word(3,_,2)
str(f1_f2_f3__f5),word(-2,_,3)
str(f1_f2_f3__f5),word(-3,_,0)
str(f1_f2_f3__f5),word(9,_)
str(f1_f2_f3__f5),word(-9,_)
str(f1_f2_f3__f5),word(3,_,9)
str(f1_f2_f3__f5),word(-1,_,9)
str(f1_f2_f3__f5),word(0,_)
str(/f1/f2/f3/f4),word(1,/)
str(/f1/f2/f3/f4/),word(2,/,0)
str(/f1/f2/f3/f4/),word(-2,/,0)
str(/f1/f2/f3/f4/),field(2,/,0)
str(a.b-c),word(2,.-)
str(),word(1,_)
str(),field(1,_)
str(abc),word(1,_)
str(abc),word(-1,_)
str(abc),field(1,_,0)
path,word(1,/)
path,field(-1,/)
req.hdr(host),field(1,:),lower
req.hdr(host),host_only
req.hdr(host),port_only
str(Foo),host_only
str([::1]:80),host_only
str([::1]:80),port_only
str([::1]),host_only
str([::1]),port_only
str(1.2.3.4:99),port_only
str(hello),hex
bin(0041ff),hex
str(ff),hex2i
str(0x1f),hex2i
str(FFFFFFFFFFFFFFFF),hex2i
str(123456789abcdef01),hex2i
str(xyz),hex2i
str(1g),hex2i
str(),hex2i
str(hello),base64
bin(00ff10),base64
bin(100e00044d5154540402003c00026162),mqtt_is_valid
bin(100e00044d5154540402003c000261),mqtt_is_valid
bin(100e00044d5154540402003c00026162),mqtt_field_value(connect,client_identifier)
bin(100e00044d5154540402003c00026162),mqtt_field_value(1,protocol_version)
bin(100e00044d5154540402003c00026162),mqtt_field_value(connect,KEEPALIVE)
bin(20020100),mqtt_field_value(connack,flags)
bin(20020100),mqtt_field_value(connect,flags)
str(aGVsbG8=),b64dec
str(aGVsbG8),b64dec
str(aGVs*G8=),b64dec
bin(fbff),ub64enc
str(hello),ub64enc
str(-_8),ub64dec
str(aGVsbG8),ub64dec
bin(01020304050607),be2dec(:,2)
bin(01020304050607),be2dec(-,2,1)
bin(01020304050607),be2dec(,2,1)
bin(7f000001),be2dec(.,1)
bin(01020304050607),be2dec(:,9)
bin(01020304050607),be2dec(:,0)
bin(01020304050607),be2hex
bin(01020304050607),be2hex(:,2)
bin(01020304050607),be2hex(--,2,1)
bin(0102030405060708),be2hex(,3,1)
bin(0102),be2hex(:,0)
str(hello),crc32
str(hello),crc32(1)
str(hello),crc32c
str(hello),djb2
str(hello),djb2(1)
str(hello),sdbm
str(hello),sdbm(1)
str(hello),wt6
str(hello),wt6(1)
str(hello),xxh32
str(hello),xxh32(7)
str(hello),xxh64
str(hello),xxh64(7)
str(hello),xxh3
str(hello),xxh3(7)
str(hello),sha1,hex
str(hello),sha2,hex
str(hello),sha2(224),hex
str(hello),sha2(384),hex
str(hello),sha2(512),hex
str(hello),sha2(100),hex
str(hello),digest(md5),hex
str(hello),digest(sha256),hex
str(hello),digest(SHA512),hex
str(hello),digest(nope),hex
str(hello),hmac(sha256,a2V5),hex
str(hello),hmac(sha1,a2V5),hex
str(hello),hmac(md5,txn.key),hex
str(hello),hmac(sha256,***),hex
str(a%20b+c),url_dec
str(a%20b+c),url_dec(1)
str(a+b?c+d),url_dec
str(a%zz),url_dec
str(a%2),url_dec
str("a b/c?d=e&f~g"),url_enc
str("a b/c?d=e&f~g"),url_enc(query)
str("a*b!c(d)"),url_enc
str(x),url_enc(form)
req.fhdr(user-agent),json
req.fhdr(user-agent),json(utf8s)
str("a/b\tc"),json(ascii)
bin(c3a9),json(utf8)
bin(c3a9),json(ascii)
bin(c328),json(utf8)
bin(c328),json(utf8s)
bin(c080),json(utf8)
bin(c080),json(utf8s)
bin(c080),json(utf8p)
bin(f09f9880),json(utf8)
bin(f09f9880),json(utf8s)
bin(000a7f),json(utf8s)
str(x),json(latin)
str("{\"integer\":4}"),json_query("$.integer","int")
str("{\"a\":{\"b\":\"c\"}}"),json_query("$.a.b")
str("{\"a\":[1,\"x\"]}"),json_query("$.a[1]")
str("{\"a\":{\"b\":1}}"),json_query("$.a")
str("{\"a\":1.5}"),json_query("$.a")
str("{\"a\":true}"),json_query("$.a")
str("{\"a\":false}"),json_query("$.a")
str("{\"a\":null}"),json_query("$.a")
str("{\"a\":\"12\"}"),json_query("$.a",int)
str("{\"my.key\":\"v\"}"),json_query("$.my\\\\.key")
str("{\"a\":1}"),json_query("$.none")
str("{\"a\":1}"),json_query("a")
str("not json"),json_query("$.a")
str("/////a///b/c/xzxyz/"),regsub(/+,/,g)
str("foo bar"),regsub(o,0)
str("foo bar"),regsub(o,0,g)
str("FOO bar"),regsub(o,0,gi)
str("foo42"),regsub("([a-z]+)([0-9]+)","\2\1")
str("foo42"),regsub("([a-z]+)([0-9]+)","\\2\\1")
str("foo"),regsub("^","x")
str("foo"),regsub("x*","-",g)
str("foo"),regsub("","x")
str("foo"),regsub("o$","")
str("foo"),regsub(o,0,z)
str("foo"),regsub("(","")
str(1.2.3.4),ipmask(24)
src,ipmask(8)
src,ipmask(255.255.0.0)
src,ipmask(0)
src,ipmask(33)
ipv6(2001:db8:1:2::3),ipmask(24,64)
ipv6(2001:db8:1:2::3),ipmask(24)
int(0),http_date
int(951782400),http_date
int(951782400),http_date(86400)
int(951782400123),http_date(0,ms)
int(951782400),http_date(0,x)
int(951782400),utime("%Y-%m-%d %H:%M:%S")
int(951782400),utime("%a %A %b %B %d %e %j %U %W %V %G %y %u %w %p %I %D %F %T %R")
int(951782400),utime("%c")
int(951782400),utime("%Y",31536000)
int(951782400),utime("%s %Z %z")
req.fhdr(accept-language),language(es;fr;en)
req.fhdr(accept-language),language(de;fr)
req.fhdr(accept-language),language(es)
req.fhdr(accept-language),language(es,xx)
str(en;q=0),language(en)
str(en;q=0.5),language(en)
str(a),concat(b)
str(a),concat(b,txn.text,c)
str(a),concat(,txn.number)
str(a),concat(b,txn.none,c)
str(a),concat()
str(a),concat(b,bad,c)
str(a),add_item(",",txn.text)
str(),add_item(",",txn.text)
str(a),add_item(",",txn.none)
str(a),add_item(",",txn.text,x)
str(a),add_item(",",,x)
str(a),add_item(",")
str(alpha),strcmp(txn.text)
str(beta),strcmp(txn.text)
str(al),strcmp(txn.text)
str(alphabet),strcmp(txn.text)
str(x),strcmp(txn.none)
str(alpha),secure_memcmp(txn.text)
str(alphb),secure_memcmp(txn.text)
str(a),set-var(txn.new),concat(x)
int(5),set-var(txn.n2),add(1)
str(a),set-var(nope.x)
str(a),unset-var(txn.text)
str("line1\r\nline2"),cut_crlf
bin(610a62),cut_crlf
str(oracle),nbsrv
str(1),map(/nonexistent)
bin(0a05),protobuf(1)
bin(0896017a0568656c6c6f),protobuf(1,int32)
bin(0896017a0568656c6c6f),protobuf(15)
bin(0896017a0568656c6c6f),protobuf(1)
bin(0896017a0568656c6c6f),protobuf(2)
bin(0803),protobuf(1,sint32)
bin(0801),protobuf(1,bool)
bin(0d00000040),protobuf(1,float)
bin(09000000000000f03f),protobuf(1,double)
bin(00000000020801),ungrpc(1,int32)
bin(0a020805),protobuf(1.1,int32)
bin(0801),protobuf(x)
str("eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJtZSIsIm4iOjN9.xxx"),jwt_header_query("$.alg")
str("eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJtZSIsIm4iOjN9.xxx"),jwt_payload_query("$.iss")
str("eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJtZSIsIm4iOjN9.xxx"),jwt_payload_query("$.n","int")
str("eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJtZSIsIm4iOjN9.xxx"),jwt_verify("HS256","secret")
str("a.b"),jwt_verify("HS256","secret")
str("a.b.c"),jwt_verify("PS256","secret")
str("a.b.c"),jwt_verify("XX","secret")
"#;

const CASTS: &str = r#"
str(12),add(1)
str(12abc),add(1)
str(abc),add(1)
str(-3),add(1)
str(+3),add(1)
str(),add(1)
str( 4),add(1)
str(99999999999999999999),add(0)
src,add(1)
bool(true),add(1)
bool(true),lower
bool(true),hex
bool(false),sha1,hex
int(258),hex
int(-1),hex
int(16909060),ipmask(16)
str(1.2.3.4),ipmask(16)
str(1.2.3),ipmask(16)
str(x),ipmask(16)
src,hex
src,lower
src,length
ipv6(2001:db8::1),hex
ipv6(::ffff:1.2.3.4),ipmask(16)
bin(4142),lower
bin(4142),length
bin(4142),upper,length
bin(4142),word(1,B)
method,lower
method,length
method,hex
int(5),length
bin(4142),add(1)
str(abc),sha1,add(1)
"#;

pub(super) const CONDITIONS: &str = r#"
{ path /a/b/file.php }
{ method -m str -i get }
{ method -i purge }
{ path -m beg /a }
{ path_beg /a }
{ path_beg /x /a }
{ path_beg -i /A }
{ path_beg /A }
{ path_end .php }
{ path_end .PHP }
{ path_end -i .PHP }
{ path_sub file }
{ path_dir b }
{ path_dir a/b }
{ path_dir file }
{ path_dir / }
{ path_dom php }
{ path_dom file.php }
{ path_reg ^/a/.*\.php$ }
{ path_reg -i ^/A }
{ path_len 13 }
{ path_len 10:20 }
{ path_len gt 5 }
{ path_len lt 5 }
{ hdr(host) www.example.com:8080 }
{ hdr(host) -i www.example.com:8080 }
{ hdr_dom(host) -i example.com }
{ hdr_dom(host) -i www }
{ hdr_dom(host) -i com }
{ hdr_dom(host) -i xample }
{ hdr_dom(host) -i .example. }
{ hdr_beg(host) -i www. }
{ hdr_end(host) 8080 }
{ hdr_sub(host) -i EXAMPLE }
{ hdr_len(host) 20 }
{ hdr_reg(host) -i ^www }
{ hdr(x-list) two }
{ hdr(x-list) four }
{ hdr(x-list) five }
{ hdr(x-list) one five }
{ hdr(x-list) "th,ree" }
{ hdr(x-list),upper TWO }
{ hdr(x-list,2) two }
{ hdr(x-list,1) two }
{ req.fhdr(x-list) five }
{ req.hdr(x-none) -m found }
{ req.hdr(x-empty) -m found }
{ req.hdr(x-empty) -m len 0 }
{ req.hdr(host) -m found }
! { req.hdr(host) -m found }
!{ req.hdr(host) -m found }
{ req.hdr_cnt(x-list) gt 1 }
{ req.hdr_cnt(x-list) eq 5 }
{ req.hdr_val(x-num) ge 42 }
{ req.hdr_val(x-num) 40:50 }
{ req.hdr_val(x-num) lt 0 }
{ req.hdr_val(x-num) -m int 42 }
{ req.hdr_ip(x-forwarded-for) 10.0.0.0/8 }
{ req.hdr_ip(x-forwarded-for) 192.168.0.0/16 }
{ req.hdr_ip(x-forwarded-for) 2001:db8::/32 }
{ req.hdr_ip(x-forwarded-for) 1.2.3.4 }
{ hdr_ip(x-forwarded-for,1) 10.0.0.0/8 }
{ req.hdr(x-forwarded-for) -m ip 10.0.0.0/8 }
{ req.cook(a) 4 }
{ req.cook(a) 1 }
{ req.cook(b) two }
{ req.cook -m found }
{ req.cook(none) -m found }
{ cook_beg(b) tw }
{ urlp(x) 1 }
{ urlp(x) 3 }
{ urlp_val(x) gt 2 }
{ urlp_sub(y) w }
{ urlp(empty) -m found }
{ urlp(none) -m found }
{ method GET }
{ method POST }
{ method GET POST }
{ method PURGE }
{ method get }
{ method -i get }
{ method,lower get }
{ method -m str PURGE }
{ src 127.0.0.1 }
{ src 127.0.0.0/8 }
{ src 127/8 }
{ src 127.1 }
{ src ::ffff:127.0.0.1 }
{ src ::1 }
{ src 10.0.0.0/8 127.0.0.0/8 }
{ src -m str 127.0.0.1 }
{ src -m beg 127. }
{ src 127.0.0.1/255.255.255.0 }
{ src -m found }
{ dst 127.0.0.1 }
{ always_true }
{ always_false }
{ always_true -m bool }
{ always_true -m int 1 }
{ always_true 0 }
{ int(5) 5 }
{ int(5) 1:10 }
{ int(5) :10 }
{ int(5) 6: }
{ int(5) ge 5 }
{ int(5) gt 5 }
{ int(5) lt 6 }
{ int(5) le 4 }
{ int(5) eq 4 5 }
{ int(5) gt 1 lt 3 }
{ int(5) -m bool }
{ int(0) -m bool }
{ int(5) -m str 5 }
{ int(5) -m found }
{ str(abc) abc }
{ str(abc) -m str abc }
{ str(abc) -m reg ^a.c$ }
{ str(abc) -m reg b }
{ str(ABC) -m reg -i ^a }
{ str(abc) -m len 3 }
{ str(abc) -m sub b }
{ str(abc) -m sub "" }
{ str(abc) -m beg "" }
{ str(abc) -m bin 616263 }
{ str(123) -m int 123 }
{ str(1) -m bool }
{ str(true) -m bool }
{ str(0) -m bool }
{ str(1.2.3.4) -m ip 1.2.0.0/16 }
{ str(x) -m ip 1.2.0.0/16 }
{ str(a/b/c) -m dir b }
{ str(a/b/c) -m dir /b/ }
{ str(a.b/c:d?e) -m dom d }
{ str(a.b/c:d?e) -m dom b/c }
{ bin(616263) -m bin 616263 }
{ bin(616263) -m str abc }
{ bin(616263) -m sub b }
{ bin(616263) -m len 3 }
{ bin(616263) -m reg ^abc$ }
{ bin(616263) -m beg ab }
{ var(txn.text) -m str alpha }
{ var(txn.text) -m beg al }
{ var(txn.number) -m int 7 }
{ var(txn.number) -m int gt 6 }
{ var(txn.number) -m str 7 }
{ var(txn.number) -m found }
{ var(txn.none) -m found }
{ var(txn.ip) -m ip 127.0.0.0/8 }
{ var(txn.number) 7 }
{ str(-i) -- -i }
{ str(a) -i A }
{ str(A) -i a b c d e f g h i j k }
{ str(k) a b c d e f g h i j k }
{ str(kk) -m beg a b c d e f g h i j k }
{ str(KK) -m beg -i a b c d e f g h i j k }
{ str(zz) -m beg a b c d e f g h i j k }
TRUE
FALSE
HTTP
HTTP_1.1
HTTP_1.0
HTTP_CONTENT
HTTP_URL_ABS
HTTP_URL_SLASH
HTTP_URL_STAR
LOCALHOST
METH_GET
METH_POST
METH_OPTIONS
METH_HEAD
WAIT_END
TRUE FALSE || TRUE
TRUE FALSE or FALSE
FALSE || FALSE || TRUE
!TRUE || !FALSE
! FALSE
!!TRUE
NOPE
{ path
{ nope }
{ path_reg ( }
{ int(3) gt x }
{ path -m nope x }
{ path -Z x }
{ path -f /nonexistent }
{ src nonexistent.invalid }
{ req.body -m sub bob }
{ req.body_len gt 0 }
{ req.body_param(user) eve }
{ req.body_param bob }
{ base_beg -i www }
{ base_sub / }
{ url_beg http:// }
{ url -m end frag }
{ query -m found }
{ query -m sub y=two }
"#;

pub(super) const FORMATS: &str = r#"
plain text
100%% done
%[src]:%[path]
%ci
%f
%HM %HU
%HP|%HQ|%HV|%HPO
%r
%{+Q}r
%{+Q}[path]
%{+Q}[req.hdr(x-none)]
%{+Q,+E}[req.fhdr(user-agent)]
%{+E}[req.fhdr(user-agent)]
%{+X}ci
%{+X}[int(255)]
%{+Q}o%[path] %{-Q}[path] %HM
%[str(a)]%[str(b)]  %[str(c)]
%[req.hdr(x-none)]
%[bin(00ff)]
%[bool(true)]
%[var(txn.text)] %[var(txn.number),add(1)]
%tsc %ts
%[str(a]b)]
%b
%ft
%nope
%[nope]
%[src
%{+Q
%[status]
"#;
