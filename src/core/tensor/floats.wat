;; Converts floats of 16 bits and of 32 into each other, and looks for NaN and infinities. Places are in bytes; counts are of
;; elements, multiples of 8. `npm run wasm` writes it into floats-wasm.ts.
;;
;; Nearly all weights are 0 or normal in both formats: where all of a vector are, a few shifts do. The functions below do for the others.
(module
  (memory (export "memory") 1)

  ;; Four float16, each in the lower half of 32 bits, as float32: exponent and fraction are put in their places and scaled by
  ;; 2^112, which is exact and takes subnormals along; all bits of the exponent stay all.
  (func $widenHalves (param $bits v128) (result v128)
    (v128.or
      (v128.or
        (f32x4.mul
          (i32x4.shl (v128.and (local.get $bits) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff)) (i32.const 13))
          (v128.const i32x4 0x77800000 0x77800000 0x77800000 0x77800000))
        (i32x4.shl (v128.and (local.get $bits) (v128.const i32x4 0x8000 0x8000 0x8000 0x8000)) (i32.const 16)))
      (v128.and
        (i32x4.ge_u
          (v128.and (local.get $bits) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff))
          (v128.const i32x4 0x7c00 0x7c00 0x7c00 0x7c00))
        (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))))

  ;; Four float32 as float16 in the lower half of 32 bits, half to even.
  (func $narrow (param $value v128) (result v128)
    (local $magnitude v128) (local $normal v128) (local $small v128) (local $large v128)
    (local.set $magnitude (v128.and (local.get $value) (v128.const i32x4 0x7fffffff 0x7fffffff 0x7fffffff 0x7fffffff)))
    ;; the bias of the exponent is changed, and what falls off rounded; a carry into the exponent is right, up to infinity
    (local.set $normal
      (i32x4.shr_u
        (i32x4.add
          (i32x4.add (local.get $magnitude) (v128.const i32x4 0xc8000fff 0xc8000fff 0xc8000fff 0xc8000fff))
          (v128.and (i32x4.shr_u (local.get $magnitude) (i32.const 13)) (v128.const i32x4 1 1 1 1)))
        (i32.const 13)))
    ;; beside 0.5 the last bit of a float32 is that of the subnormals of float16
    (local.set $small
      (i32x4.sub
        (f32x4.add (local.get $magnitude) (v128.const f32x4 0.5 0.5 0.5 0.5))
        (v128.const i32x4 0x3f000000 0x3f000000 0x3f000000 0x3f000000)))
    ;; infinity, or NaN
    (local.set $large
      (v128.bitselect
        (v128.const i32x4 0x7e00 0x7e00 0x7e00 0x7e00)
        (v128.const i32x4 0x7c00 0x7c00 0x7c00 0x7c00)
        (i32x4.gt_s (local.get $magnitude) (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))))
    (v128.or
      (v128.bitselect
        (local.get $small)
        (v128.bitselect
          (local.get $large)
          (local.get $normal)
          (i32x4.ge_s (local.get $magnitude) (v128.const i32x4 0x47800000 0x47800000 0x47800000 0x47800000)))
        (i32x4.lt_s (local.get $magnitude) (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000)))
      (v128.and
        (i32x4.shr_u (local.get $value) (i32.const 16))
        (v128.const i32x4 0x8000 0x8000 0x8000 0x8000))))

  (func (export "brainToFloat") (param $from i32) (param $to i32) (param $count i32)
    (local $end i32) (local $bits v128)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $bits (v128.load (local.get $from)))
        (v128.store (local.get $to) (i32x4.shl (i32x4.extend_low_i16x8_u (local.get $bits)) (i32.const 16)))
        (v128.store offset=16 (local.get $to) (i32x4.shl (i32x4.extend_high_i16x8_u (local.get $bits)) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 32)))
        (br $next))))

  (func (export "halfToFloat") (param $from i32) (param $to i32) (param $count i32)
    (local $end i32) (local $bits v128) (local $magnitude v128) (local $zero v128) (local $high v128) (local $low v128)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $bits (v128.load (local.get $from)))
        (local.set $magnitude (v128.and (local.get $bits) (v128.const i16x8 0x7fff 0x7fff 0x7fff 0x7fff 0x7fff 0x7fff 0x7fff 0x7fff)))
        (local.set $zero (i16x8.eq (local.get $magnitude) (v128.const i16x8 0 0 0 0 0 0 0 0)))
        (if
          (i16x8.all_true
            (v128.or
              (local.get $zero)
              (i16x8.lt_u
                (i16x8.sub (local.get $magnitude) (v128.const i16x8 0x0400 0x0400 0x0400 0x0400 0x0400 0x0400 0x0400 0x0400))
                (v128.const i16x8 0x7800 0x7800 0x7800 0x7800 0x7800 0x7800 0x7800 0x7800))))
          (then
            ;; sign, exponent and the first seven bits of the fraction, as bfloat16; then the other three
            (local.set $high
              (v128.or
                (v128.and (local.get $bits) (v128.const i16x8 0x8000 0x8000 0x8000 0x8000 0x8000 0x8000 0x8000 0x8000))
                (v128.andnot
                  (i16x8.add (i16x8.shr_u (local.get $magnitude) (i32.const 3)) (v128.const i16x8 0x3800 0x3800 0x3800 0x3800 0x3800 0x3800 0x3800 0x3800))
                  (local.get $zero))))
            (local.set $low (i16x8.shl (local.get $bits) (i32.const 13)))
            (v128.store (local.get $to)
              (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $low) (local.get $high)))
            (v128.store offset=16 (local.get $to)
              (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $low) (local.get $high))))
          (else
            (v128.store (local.get $to) (call $widenHalves (i32x4.extend_low_i16x8_u (local.get $bits))))
            (v128.store offset=16 (local.get $to) (call $widenHalves (i32x4.extend_high_i16x8_u (local.get $bits))))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 32)))
        (br $next))))

  (func (export "floatToHalf") (param $from i32) (param $to i32) (param $count i32)
    (local $end i32) (local $a v128) (local $b v128) (local $left v128) (local $right v128)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $a (v128.load (local.get $from)))
        (local.set $b (v128.load offset=16 (local.get $from)))
        (local.set $left (v128.and (local.get $a) (v128.const i32x4 0x7fffffff 0x7fffffff 0x7fffffff 0x7fffffff)))
        (local.set $right (v128.and (local.get $b) (v128.const i32x4 0x7fffffff 0x7fffffff 0x7fffffff 0x7fffffff)))
        (if
          (i32x4.all_true
            (v128.and
              (v128.or
                (i32x4.eq (local.get $left) (v128.const i32x4 0 0 0 0))
                (i32x4.lt_u (i32x4.sub (local.get $left) (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000)) (v128.const i32x4 0x0f000000 0x0f000000 0x0f000000 0x0f000000)))
              (v128.or
                (i32x4.eq (local.get $right) (v128.const i32x4 0 0 0 0))
                (i32x4.lt_u (i32x4.sub (local.get $right) (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000)) (v128.const i32x4 0x0f000000 0x0f000000 0x0f000000 0x0f000000)))))
          (then
            (v128.store (local.get $to)
              (i16x8.narrow_i32x4_u
                (v128.or
                  (v128.andnot
                    (i32x4.shr_u
                      (i32x4.add
                        (i32x4.add (local.get $left) (v128.const i32x4 0xc8000fff 0xc8000fff 0xc8000fff 0xc8000fff))
                        (v128.and (i32x4.shr_u (local.get $left) (i32.const 13)) (v128.const i32x4 1 1 1 1)))
                      (i32.const 13))
                    (i32x4.eq (local.get $left) (v128.const i32x4 0 0 0 0)))
                  (v128.and (i32x4.shr_u (local.get $a) (i32.const 16)) (v128.const i32x4 0x8000 0x8000 0x8000 0x8000)))
                (v128.or
                  (v128.andnot
                    (i32x4.shr_u
                      (i32x4.add
                        (i32x4.add (local.get $right) (v128.const i32x4 0xc8000fff 0xc8000fff 0xc8000fff 0xc8000fff))
                        (v128.and (i32x4.shr_u (local.get $right) (i32.const 13)) (v128.const i32x4 1 1 1 1)))
                      (i32.const 13))
                    (i32x4.eq (local.get $right) (v128.const i32x4 0 0 0 0)))
                  (v128.and (i32x4.shr_u (local.get $b) (i32.const 16)) (v128.const i32x4 0x8000 0x8000 0x8000 0x8000))))))
          (else
            (v128.store (local.get $to)
              (i16x8.narrow_i32x4_u (call $narrow (local.get $a)) (call $narrow (local.get $b))))))
        (local.set $from (i32.add (local.get $from) (i32.const 32)))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (br $next))))

  (func (export "brainToHalf") (param $from i32) (param $to i32) (param $count i32)
    (local $end i32) (local $bits v128) (local $magnitude v128) (local $zero v128)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $bits (v128.load (local.get $from)))
        (local.set $magnitude (v128.and (local.get $bits) (v128.const i16x8 0x7fff 0x7fff 0x7fff 0x7fff 0x7fff 0x7fff 0x7fff 0x7fff)))
        (local.set $zero (i16x8.eq (local.get $magnitude) (v128.const i16x8 0 0 0 0 0 0 0 0)))
        (if
          (i16x8.all_true
            (v128.or
              (local.get $zero)
              (i16x8.lt_u
                (i16x8.sub (local.get $magnitude) (v128.const i16x8 0x3880 0x3880 0x3880 0x3880 0x3880 0x3880 0x3880 0x3880))
                (v128.const i16x8 0x0f00 0x0f00 0x0f00 0x0f00 0x0f00 0x0f00 0x0f00 0x0f00))))
          (then
            (v128.store (local.get $to)
              (v128.or
                (v128.and (local.get $bits) (v128.const i16x8 0x8000 0x8000 0x8000 0x8000 0x8000 0x8000 0x8000 0x8000))
                (v128.andnot
                  (i16x8.shl (i16x8.sub (local.get $magnitude) (v128.const i16x8 0x3800 0x3800 0x3800 0x3800 0x3800 0x3800 0x3800 0x3800)) (i32.const 3))
                  (local.get $zero)))))
          (else
            (v128.store (local.get $to)
              (i16x8.narrow_i32x4_u
                (call $narrow (i32x4.shl (i32x4.extend_low_i16x8_u (local.get $bits)) (i32.const 16)))
                (call $narrow (i32x4.shl (i32x4.extend_high_i16x8_u (local.get $bits)) (i32.const 16)))))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (br $next))))

  ;; Whether all bits of the exponent are set in any of the elements.
  (func (export "nonFinite32") (param $from i32) (param $count i32) (result i32)
    (local $end i32) (local $exponent v128) (local $found v128)
    (local.set $exponent (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $found
          (v128.or
            (local.get $found)
            (v128.or
              (i32x4.eq (v128.and (v128.load (local.get $from)) (local.get $exponent)) (local.get $exponent))
              (i32x4.eq (v128.and (v128.load offset=16 (local.get $from)) (local.get $exponent)) (local.get $exponent)))))
        (local.set $from (i32.add (local.get $from) (i32.const 32)))
        (br $next)))
    (v128.any_true (local.get $found)))

  ;; As nonFinite32, of 16 bits with the exponent given.
  (func (export "nonFinite16") (param $from i32) (param $count i32) (param $bits i32) (result i32)
    (local $end i32) (local $exponent v128) (local $found v128)
    (local.set $exponent (i16x8.splat (local.get $bits)))
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $found
          (v128.or
            (local.get $found)
            (i16x8.eq (v128.and (v128.load (local.get $from)) (local.get $exponent)) (local.get $exponent))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br $next)))
    (v128.any_true (local.get $found))))
