;; The loss of stacking, its gradient and its Hessian over some rows, in double precision and summed in
;; their order. Values stand in memory at byte offsets as float64. `npm run wasm` writes it into stack-wasm.ts.
(module
  (memory (export "memory") 1)

  ;; Adds $count rows (even) of $width logits (a multiple of four) at $x, with votes for the left at $left and for the right at
  ;; $right. Of $state: weights, gradient [$width each], the lower triangle of the Hessian [$width, $width] in pairs of columns, then
  ;; the summed loss and votes. $scratch holds four numbers a row.
  (func (export "add")
    (param $x i32) (param $left i32) (param $right i32) (param $count i32) (param $width i32) (param $state i32) (param $scratch i32)
    (local $rowBytes i32) (local $columnBytes i32) (local $curvature i32) (local $term i32) (local $votes i32)
    (local $gradient i32) (local $hessian i32)
    (local.set $rowBytes (i32.shl (local.get $width) (i32.const 3)))
    (local.set $columnBytes (i32.shl (local.get $count) (i32.const 3)))
    (local.set $curvature (i32.add (local.get $scratch) (local.get $columnBytes)))
    (local.set $term (i32.add (local.get $curvature) (local.get $columnBytes)))
    (local.set $votes (i32.add (local.get $term) (local.get $columnBytes)))
    (local.set $gradient (i32.add (local.get $state) (local.get $rowBytes)))
    (local.set $hessian (i32.add (local.get $gradient) (local.get $rowBytes)))
    (call $judge (local.get $x) (local.get $left) (local.get $right) (local.get $columnBytes) (local.get $rowBytes)
      (local.get $state) (local.get $scratch) (local.get $curvature) (local.get $term) (local.get $votes))
    (call $sum (local.get $term) (local.get $columnBytes)
      (i32.add (local.get $hessian) (i32.mul (local.get $width) (local.get $rowBytes))))
    (call $sum (local.get $votes) (local.get $columnBytes)
      (i32.add (i32.add (local.get $hessian) (i32.mul (local.get $width) (local.get $rowBytes))) (i32.const 8)))
    (call $slopes (local.get $x) (local.get $scratch) (local.get $columnBytes) (local.get $rowBytes) (local.get $gradient))
    (call $curves (local.get $x) (local.get $curvature) (local.get $columnBytes) (local.get $rowBytes) (local.get $hessian)))

  ;; Of two rows at a time: votes times (p - share of the left), votes times p (1 - p), loss, votes.
  (func $judge
    (param $x i32) (param $left i32) (param $right i32) (param $bytes i32) (param $rowBytes i32) (param $weights i32)
    (param $residual i32) (param $curvature i32) (param $term i32) (param $votes i32)
    (local $at i32) (local $from i32) (local $end i32) (local $weight i32)
    (local $first v128) (local $second v128) (local $logit v128) (local $small v128) (local $smaller v128) (local $p v128)
    (local $rest v128) (local $for v128) (local $both v128) (local $expected v128)
    (local.set $from (local.get $x))
    (loop $next
      (local.set $logit (v128.const i64x2 0 0))
      (local.set $weight (local.get $weights))
      (local.set $end (i32.add (local.get $from) (local.get $rowBytes)))
      (loop $pair
        (local.set $first (v128.load (local.get $from)))
        (local.set $second (v128.load (i32.add (local.get $from) (local.get $rowBytes))))
        (local.set $logit (f64x2.add (local.get $logit) (f64x2.mul
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $first) (local.get $second))
          (v128.load64_splat (local.get $weight)))))
        (local.set $logit (f64x2.add (local.get $logit) (f64x2.mul
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $first) (local.get $second))
          (v128.load64_splat offset=8 (local.get $weight)))))
        (local.set $weight (i32.add (local.get $weight) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br_if $pair (i32.lt_u (local.get $from) (local.get $end))))
      (local.set $from (i32.add (local.get $from) (local.get $rowBytes)))
      (local.set $small (call $exp (f64x2.neg (f64x2.abs (local.get $logit)))))
      (local.set $smaller (f64x2.div (local.get $small) (f64x2.add (v128.const f64x2 1 1) (local.get $small))))
      (local.set $p (v128.bitselect (local.get $smaller) (f64x2.sub (v128.const f64x2 1 1) (local.get $smaller))
        (f64x2.lt (local.get $logit) (v128.const i64x2 0 0))))
      (local.set $rest (call $log1p (local.get $small)))
      (local.set $for (v128.load (i32.add (local.get $left) (local.get $at))))
      (local.set $both (f64x2.add (local.get $for) (v128.load (i32.add (local.get $right) (local.get $at)))))
      (local.set $expected (f64x2.mul (local.get $both) (local.get $p)))
      (v128.store (i32.add (local.get $residual) (local.get $at)) (f64x2.sub (local.get $expected) (local.get $for)))
      (v128.store (i32.add (local.get $curvature) (local.get $at))
        (f64x2.mul (local.get $expected) (f64x2.sub (v128.const f64x2 1 1) (local.get $p))))
      (v128.store (i32.add (local.get $term) (local.get $at)) (f64x2.add
        (f64x2.mul (local.get $for)
          (f64x2.add (f64x2.max (f64x2.neg (local.get $logit)) (v128.const i64x2 0 0)) (local.get $rest)))
        (f64x2.mul (f64x2.sub (local.get $both) (local.get $for))
          (f64x2.add (f64x2.max (local.get $logit) (v128.const i64x2 0 0)) (local.get $rest)))))
      (v128.store (i32.add (local.get $votes) (local.get $at)) (local.get $both))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $bytes)))))

  ;; Adds numbers to the one at $to, one after the other.
  (func $sum (param $values i32) (param $bytes i32) (param $to i32)
    (local $end i32) (local $total f64)
    (local.set $end (i32.add (local.get $values) (local.get $bytes)))
    (local.set $total (f64.load (local.get $to)))
    (loop $next
      (local.set $total (f64.add (local.get $total) (f64.load (local.get $values))))
      (local.set $values (i32.add (local.get $values) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $values) (local.get $end))))
    (f64.store (local.get $to) (local.get $total)))

  ;; The gradient, four members at a time.
  (func $slopes (param $x i32) (param $residual i32) (param $bytes i32) (param $rowBytes i32) (param $gradient i32)
    (local $column i32) (local $from i32) (local $at i32) (local $end i32) (local $r v128) (local $a v128) (local $b v128)
    (local.set $end (i32.add (local.get $residual) (local.get $bytes)))
    (loop $members
      (local.set $a (v128.load (i32.add (local.get $gradient) (local.get $column))))
      (local.set $b (v128.load offset=16 (i32.add (local.get $gradient) (local.get $column))))
      (local.set $from (i32.add (local.get $x) (local.get $column)))
      (local.set $at (local.get $residual))
      (loop $next
        (local.set $r (v128.load64_splat (local.get $at)))
        (local.set $a (f64x2.add (local.get $a) (f64x2.mul (local.get $r) (v128.load (local.get $from)))))
        (local.set $b (f64x2.add (local.get $b) (f64x2.mul (local.get $r) (v128.load offset=16 (local.get $from)))))
        (local.set $from (i32.add (local.get $from) (local.get $rowBytes)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
      (v128.store (i32.add (local.get $gradient) (local.get $column)) (local.get $a))
      (v128.store offset=16 (i32.add (local.get $gradient) (local.get $column)) (local.get $b))
      (local.set $column (i32.add (local.get $column) (i32.const 32)))
      (br_if $members (i32.lt_u (local.get $column) (local.get $rowBytes)))))

  ;; The Hessian: two of its rows by four of its columns at a time, up to those on the diagonal.
  (func $curves (param $x i32) (param $curvature i32) (param $bytes i32) (param $rowBytes i32) (param $hessian i32)
    (local $own i32) (local $other i32) (local $place i32) (local $below i32) (local $from i32) (local $at i32) (local $end i32)
    (local $curved v128) (local $upper v128) (local $lower v128) (local $first v128) (local $second v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $curvature) (local.get $bytes)))
    (loop $rows
      (local.set $other (i32.const 0))
      (loop $columns
        (local.set $place (i32.add (local.get $hessian) (local.get $other)))
        (local.set $below (i32.add (local.get $place) (local.get $rowBytes)))
        (local.set $a (v128.load (local.get $place)))
        (local.set $b (v128.load offset=16 (local.get $place)))
        (local.set $c (v128.load (local.get $below)))
        (local.set $d (v128.load offset=16 (local.get $below)))
        (local.set $from (local.get $x))
        (local.set $at (local.get $curvature))
        (loop $next
          (local.set $curved (f64x2.mul (v128.load64_splat (local.get $at))
            (v128.load (i32.add (local.get $from) (local.get $own)))))
          (local.set $upper (i8x16.shuffle 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 (local.get $curved) (local.get $curved)))
          (local.set $lower (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 (local.get $curved) (local.get $curved)))
          (local.set $first (v128.load (i32.add (local.get $from) (local.get $other))))
          (local.set $second (v128.load offset=16 (i32.add (local.get $from) (local.get $other))))
          (local.set $a (f64x2.add (local.get $a) (f64x2.mul (local.get $upper) (local.get $first))))
          (local.set $b (f64x2.add (local.get $b) (f64x2.mul (local.get $upper) (local.get $second))))
          (local.set $c (f64x2.add (local.get $c) (f64x2.mul (local.get $lower) (local.get $first))))
          (local.set $d (f64x2.add (local.get $d) (f64x2.mul (local.get $lower) (local.get $second))))
          (local.set $from (i32.add (local.get $from) (local.get $rowBytes)))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
        (v128.store (local.get $place) (local.get $a))
        (v128.store offset=16 (local.get $place) (local.get $b))
        (v128.store (local.get $below) (local.get $c))
        (v128.store offset=16 (local.get $below) (local.get $d))
        (local.set $other (i32.add (local.get $other) (i32.const 32)))
        (br_if $columns (i32.le_u (local.get $other) (local.get $own))))
      (local.set $hessian (i32.add (local.get $hessian) (i32.shl (local.get $rowBytes) (i32.const 1))))
      (local.set $own (i32.add (local.get $own) (i32.const 16)))
      (br_if $rows (i32.lt_u (local.get $own) (local.get $rowBytes)))))

  ;; e^x for x <= 0, as FreeBSD's e_exp.c, which is also Math.exp of V8: x = k ln 2 + r, and a rational function of r.
  (func $exp (param $x v128) (result v128)
    (local $size v128) (local $k v128) (local $high v128) (local $low v128) (local $r v128) (local $t v128) (local $c v128)
    (local $tiny v128) (local $result v128)
    (local.set $x (f64x2.pmax (local.get $x) (v128.const f64x2 -1000 -1000))) ;; 0 all the same
    (local.set $size (f64x2.abs (local.get $x)))
    (local.set $k (f64x2.trunc (f64x2.sub
      (f64x2.mul (v128.const f64x2 1.44269504088896338700 1.44269504088896338700) (local.get $x))
      (v128.const f64x2 0.5 0.5))))
    ;; Between about 0.5 ln 2 and 1.5 ln 2, by the upper halves of the numbers.
    (local.set $k (v128.bitselect (v128.const f64x2 -1 -1) (local.get $k)
      (f64x2.lt (local.get $size) (v128.const i64x2 0x3ff0a2b200000000 0x3ff0a2b200000000))))
    (local.set $k (v128.and (local.get $k)
      (f64x2.ge (local.get $size) (v128.const i64x2 0x3fd62e4300000000 0x3fd62e4300000000))))
    (local.set $high (f64x2.sub (local.get $x) (f64x2.mul (local.get $k)
      (v128.const f64x2 6.93147180369123816490e-01 6.93147180369123816490e-01))))
    (local.set $low (f64x2.mul (local.get $k) (v128.const f64x2 1.90821492927058770002e-10 1.90821492927058770002e-10)))
    (local.set $r (f64x2.sub (local.get $high) (local.get $low)))
    (local.set $t (f64x2.mul (local.get $r) (local.get $r)))
    (local.set $c (f64x2.mul (local.get $t) (v128.const f64x2 4.13813679705723846039e-08 4.13813679705723846039e-08)))
    (local.set $c (f64x2.mul (local.get $t)
      (f64x2.add (v128.const f64x2 -1.65339022054652515390e-06 -1.65339022054652515390e-06) (local.get $c))))
    (local.set $c (f64x2.mul (local.get $t)
      (f64x2.add (v128.const f64x2 6.61375632143793436117e-05 6.61375632143793436117e-05) (local.get $c))))
    (local.set $c (f64x2.mul (local.get $t)
      (f64x2.add (v128.const f64x2 -2.77777777770155933842e-03 -2.77777777770155933842e-03) (local.get $c))))
    (local.set $c (f64x2.mul (local.get $t)
      (f64x2.add (v128.const f64x2 1.66666666666666019037e-01 1.66666666666666019037e-01) (local.get $c))))
    (local.set $c (f64x2.sub (local.get $r) (local.get $c)))
    (local.set $result (f64x2.sub (v128.const f64x2 1 1) (f64x2.sub
      (f64x2.sub (local.get $low)
        (f64x2.div (f64x2.mul (local.get $r) (local.get $c)) (f64x2.sub (v128.const f64x2 2 2) (local.get $c))))
      (local.get $high))))
    ;; Times 2^k, in two steps where that is no normal number.
    (local.set $tiny (f64x2.lt (local.get $k) (v128.const f64x2 -1021 -1021)))
    (local.set $k (f64x2.add (local.get $k) (v128.and (local.get $tiny) (v128.const f64x2 1000 1000))))
    (local.set $result (f64x2.mul (local.get $result) (i64x2.shl
      (i64x2.add (i64x2.extend_low_i32x4_s (i32x4.trunc_sat_f64x2_s_zero (local.get $k))) (v128.const i64x2 1023 1023))
      (i32.const 52))))
    (local.set $result (v128.bitselect
      (f64x2.mul (local.get $result) (v128.const i64x2 0x0170000000000000 0x0170000000000000)) ;; 2^-1000
      (local.get $result) (local.get $tiny)))
    ;; Below 2^-28.
    (v128.bitselect (f64x2.add (v128.const f64x2 1 1) (local.get $x)) (local.get $result)
      (f64x2.lt (local.get $size) (v128.const i64x2 0x3e30000000000000 0x3e30000000000000))))

  ;; log(1 + x) for x from 0 to 1, as FreeBSD's s_log1p.c, which is also Math.log1p of V8: 1 + x = 2^k (1 + f).
  (func $log1p (param $x v128) (result v128)
    (local $u v128) (local $isLarge v128) (local $f v128) (local $k v128) (local $c v128) (local $half v128) (local $s v128)
    (local $z v128) (local $r v128)
    (local.set $u (f64x2.add (v128.const f64x2 1 1) (local.get $x)))
    (local.set $isLarge (f64x2.ge (local.get $x) (v128.const i64x2 0x3fda827a00000000 0x3fda827a00000000)))
    (local.set $f (v128.bitselect
      (f64x2.sub (f64x2.mul (local.get $u) (v128.const f64x2 0.5 0.5)) (v128.const f64x2 1 1))
      (local.get $x) (local.get $isLarge)))
    (local.set $k (v128.and (local.get $isLarge) (v128.const f64x2 1 1)))
    ;; What u lost of x.
    (local.set $c (v128.and (local.get $isLarge)
      (f64x2.div (f64x2.sub (local.get $x) (f64x2.sub (local.get $u) (v128.const f64x2 1 1))) (local.get $u))))
    (local.set $half (f64x2.mul (f64x2.mul (v128.const f64x2 0.5 0.5) (local.get $f)) (local.get $f)))
    (local.set $s (f64x2.div (local.get $f) (f64x2.add (v128.const f64x2 2 2) (local.get $f))))
    (local.set $z (f64x2.mul (local.get $s) (local.get $s)))
    (local.set $r (f64x2.mul (local.get $z) (v128.const f64x2 1.479819860511658591e-01 1.479819860511658591e-01)))
    (local.set $r (f64x2.mul (local.get $z)
      (f64x2.add (v128.const f64x2 1.531383769920937332e-01 1.531383769920937332e-01) (local.get $r))))
    (local.set $r (f64x2.mul (local.get $z)
      (f64x2.add (v128.const f64x2 1.818357216161805012e-01 1.818357216161805012e-01) (local.get $r))))
    (local.set $r (f64x2.mul (local.get $z)
      (f64x2.add (v128.const f64x2 2.222219843214978396e-01 2.222219843214978396e-01) (local.get $r))))
    (local.set $r (f64x2.mul (local.get $z)
      (f64x2.add (v128.const f64x2 2.857142874366239149e-01 2.857142874366239149e-01) (local.get $r))))
    (local.set $r (f64x2.mul (local.get $z)
      (f64x2.add (v128.const f64x2 3.999999999940941908e-01 3.999999999940941908e-01) (local.get $r))))
    (local.set $r (f64x2.mul (local.get $z)
      (f64x2.add (v128.const f64x2 6.666666666666735130e-01 6.666666666666735130e-01) (local.get $r))))
    (f64x2.sub
      (f64x2.mul (local.get $k) (v128.const f64x2 6.93147180369123816490e-01 6.93147180369123816490e-01))
      (f64x2.sub
        (f64x2.sub (local.get $half) (f64x2.add
          (f64x2.mul (local.get $s) (f64x2.add (local.get $half) (local.get $r)))
          (f64x2.add
            (f64x2.mul (local.get $k) (v128.const f64x2 1.90821492927058770002e-10 1.90821492927058770002e-10))
            (local.get $c))))
        (local.get $f)))))
