;; The two passes of Pillow's resampling, four samples at a time. Assembled by scripts/make-resample-wasm.js into
;; src/core/media/image/resample-wasm.ts; src/core/media/image/resample.ts says what they compute, and lays the memory out.
;; Reads and writes run up to 15 bytes over the end of a picture.
(module
  (memory (export "memory") 1)

  ;; Horizontal: for each row and each wanted column, the weighted sum of pixels of three bytes.
  (func (export "resizeRows")
    (param $src i32) (param $srcStride i32) (param $rows i32)
    (param $dst i32) (param $columns i32)
    (param $first i32) (param $count i32) (param $values i32) (param $stride i32) ;; $stride in bytes
    (local $column i32) (local $from i32) (local $weight i32) (local $end i32) (local $sum v128)
    (loop $row
      (local.set $column (i32.const 0))
      (loop $next
        (local.set $from (i32.add (local.get $src) (i32.mul (i32.const 3)
          (i32.load (i32.add (local.get $first) (i32.shl (local.get $column) (i32.const 2)))))))
        (local.set $weight (i32.add (local.get $values) (i32.mul (local.get $column) (local.get $stride))))
        (local.set $end (i32.add (local.get $weight) (i32.shl
          (i32.load (i32.add (local.get $count) (i32.shl (local.get $column) (i32.const 2)))) (i32.const 2))))
        (local.set $sum (i32x4.splat (i32.const 0x200000))) ;; half of 2^22
        (loop $tap
          (local.set $sum (i32x4.add (local.get $sum) (i32x4.mul
            (v128.load32_splat (local.get $weight))
            (i32x4.extend_low_i16x8_u (i16x8.extend_low_i8x16_u (v128.load32_zero (local.get $from)))))))
          (local.set $from (i32.add (local.get $from) (i32.const 3)))
          (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
          (br_if $tap (i32.lt_u (local.get $weight) (local.get $end))))
        (local.set $sum (i32x4.shr_s (local.get $sum) (i32.const 22)))
        (local.set $sum (i16x8.narrow_i32x4_s (local.get $sum) (local.get $sum)))
        (v128.store32_lane 0 (local.get $dst) (i8x16.narrow_i16x8_u (local.get $sum) (local.get $sum)))
        (local.set $dst (i32.add (local.get $dst) (i32.const 3)))
        (br_if $next (i32.lt_u
          (local.tee $column (i32.add (local.get $column) (i32.const 1))) (local.get $columns))))
      (local.set $src (i32.add (local.get $src) (local.get $srcStride)))
      (br_if $row (local.tee $rows (i32.sub (local.get $rows) (i32.const 1))))))

  ;; Vertical: for each wanted row, the weighted sum of rows; sixteen samples of a row at a time.
  (func (export "resizeColumns")
    (param $src i32) (param $rowBytes i32)
    (param $dst i32) (param $rows i32)
    (param $first i32) (param $count i32) (param $values i32) (param $stride i32) ;; $stride in bytes
    (local $x i32) (local $base i32) (local $from i32) (local $weight i32) (local $end i32)
    (local $w v128) (local $bytes v128) (local $low v128) (local $high v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (loop $row
      (local.set $base (i32.add (local.get $src) (i32.mul (i32.load (local.get $first)) (local.get $rowBytes))))
      (local.set $end (i32.add (local.get $values) (i32.shl (i32.load (local.get $count)) (i32.const 2))))
      (local.set $x (i32.const 0))
      (loop $next
        (local.set $from (i32.add (local.get $base) (local.get $x)))
        (local.set $weight (local.get $values))
        (local.set $a (i32x4.splat (i32.const 0x200000)))
        (local.set $b (local.get $a))
        (local.set $c (local.get $a))
        (local.set $d (local.get $a))
        (loop $tap
          (local.set $w (v128.load32_splat (local.get $weight)))
          (local.set $bytes (v128.load (local.get $from)))
          (local.set $low (i16x8.extend_low_i8x16_u (local.get $bytes)))
          (local.set $high (i16x8.extend_high_i8x16_u (local.get $bytes)))
          (local.set $a (i32x4.add (local.get $a)
            (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (local.get $low)))))
          (local.set $b (i32x4.add (local.get $b)
            (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (local.get $low)))))
          (local.set $c (i32x4.add (local.get $c)
            (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (local.get $high)))))
          (local.set $d (i32x4.add (local.get $d)
            (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (local.get $high)))))
          (local.set $from (i32.add (local.get $from) (local.get $rowBytes)))
          (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
          (br_if $tap (i32.lt_u (local.get $weight) (local.get $end))))
        (v128.store (i32.add (local.get $dst) (local.get $x))
          (i8x16.narrow_i16x8_u
            (i16x8.narrow_i32x4_s
              (i32x4.shr_s (local.get $a) (i32.const 22)) (i32x4.shr_s (local.get $b) (i32.const 22)))
            (i16x8.narrow_i32x4_s
              (i32x4.shr_s (local.get $c) (i32.const 22)) (i32x4.shr_s (local.get $d) (i32.const 22)))))
        (br_if $next (i32.lt_u
          (local.tee $x (i32.add (local.get $x) (i32.const 16))) (local.get $rowBytes))))
      (local.set $dst (i32.add (local.get $dst) (local.get $rowBytes)))
      (local.set $values (i32.add (local.get $values) (local.get $stride)))
      (local.set $first (i32.add (local.get $first) (i32.const 4)))
      (local.set $count (i32.add (local.get $count) (i32.const 4)))
      (br_if $row (local.tee $rows (i32.sub (local.get $rows) (i32.const 1)))))))
