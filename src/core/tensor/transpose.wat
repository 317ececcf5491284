;; Transposes tiles of a matrix with elements of two or four bytes, in blocks that fill registers. Places and distances are in bytes.
;; `npm run wasm` writes it into transpose-wasm.ts.
(module
  (memory (export "memory") 1)

  ;; As $transpose below, for whole blocks of 8 by 8 elements of 16 bits.
  (func $blocks16 (param $from i32) (param $stride i32) (param $columns i32) (param $rows i32) (param $to i32) (param $pitch i32)
    (local $c i32) (local $r i32) (local $in i32) (local $out i32)
    (local $a0 v128) (local $a1 v128) (local $a2 v128) (local $a3 v128) (local $a4 v128) (local $a5 v128) (local $a6 v128) (local $a7 v128)
    (local $b0 v128) (local $b1 v128) (local $b2 v128) (local $b3 v128) (local $b4 v128) (local $b5 v128) (local $b6 v128) (local $b7 v128)
    (block $columnsDone
      (loop $nextColumns
        (br_if $columnsDone (i32.ge_u (local.get $c) (local.get $columns)))
        (local.set $r (i32.const 0))
        (block $rowsDone
          (loop $nextRows
            (br_if $rowsDone (i32.ge_u (local.get $r) (local.get $rows)))
            (local.set $in (i32.add (i32.add (local.get $from) (i32.mul (local.get $r) (local.get $stride)))
              (i32.shl (local.get $c) (i32.const 1))))
            (local.set $out (i32.add (i32.add (local.get $to) (i32.mul (local.get $c) (local.get $pitch)))
              (i32.shl (local.get $r) (i32.const 1))))
            (local.set $a0 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a1 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a2 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a3 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a4 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a5 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a6 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a7 (v128.load (local.get $in)))
            ;; neighbouring rows, element by element
            (local.set $b0 (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $a0) (local.get $a1)))
            (local.set $b1 (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $a0) (local.get $a1)))
            (local.set $b2 (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $a2) (local.get $a3)))
            (local.set $b3 (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $a2) (local.get $a3)))
            (local.set $b4 (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $a4) (local.get $a5)))
            (local.set $b5 (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $a4) (local.get $a5)))
            (local.set $b6 (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $a6) (local.get $a7)))
            (local.set $b7 (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $a6) (local.get $a7)))
            ;; two rows and two
            (local.set $a0 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $b0) (local.get $b2)))
            (local.set $a1 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $b0) (local.get $b2)))
            (local.set $a2 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $b1) (local.get $b3)))
            (local.set $a3 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $b1) (local.get $b3)))
            (local.set $a4 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $b4) (local.get $b6)))
            (local.set $a5 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $b4) (local.get $b6)))
            (local.set $a6 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $b5) (local.get $b7)))
            (local.set $a7 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $b5) (local.get $b7)))
            ;; four rows and four: a column each
            (local.set $b0 (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $a0) (local.get $a4)))
            (local.set $b1 (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $a0) (local.get $a4)))
            (local.set $b2 (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $a1) (local.get $a5)))
            (local.set $b3 (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $a1) (local.get $a5)))
            (local.set $b4 (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $a2) (local.get $a6)))
            (local.set $b5 (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $a2) (local.get $a6)))
            (local.set $b6 (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $a3) (local.get $a7)))
            (local.set $b7 (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $a3) (local.get $a7)))
            (v128.store (local.get $out) (local.get $b0))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $b1))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $b2))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $b3))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $b4))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $b5))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $b6))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $b7))
            (local.set $r (i32.add (local.get $r) (i32.const 8)))
            (br $nextRows)))
        (local.set $c (i32.add (local.get $c) (i32.const 8)))
        (br $nextColumns))))

  ;; As $transpose below, for whole blocks of 4 by 4 elements of 32 bits.
  (func $blocks32 (param $from i32) (param $stride i32) (param $columns i32) (param $rows i32) (param $to i32) (param $pitch i32)
    (local $c i32) (local $r i32) (local $in i32) (local $out i32)
    (local $a0 v128) (local $a1 v128) (local $a2 v128) (local $a3 v128)
    (local $b0 v128) (local $b1 v128) (local $b2 v128) (local $b3 v128)
    (block $columnsDone
      (loop $nextColumns
        (br_if $columnsDone (i32.ge_u (local.get $c) (local.get $columns)))
        (local.set $r (i32.const 0))
        (block $rowsDone
          (loop $nextRows
            (br_if $rowsDone (i32.ge_u (local.get $r) (local.get $rows)))
            (local.set $in (i32.add (i32.add (local.get $from) (i32.mul (local.get $r) (local.get $stride)))
              (i32.shl (local.get $c) (i32.const 2))))
            (local.set $out (i32.add (i32.add (local.get $to) (i32.mul (local.get $c) (local.get $pitch)))
              (i32.shl (local.get $r) (i32.const 2))))
            (local.set $a0 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a1 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a2 (v128.load (local.get $in)))
            (local.set $in (i32.add (local.get $in) (local.get $stride)))
            (local.set $a3 (v128.load (local.get $in)))
            ;; neighbouring rows, element by element
            (local.set $b0 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $a0) (local.get $a1)))
            (local.set $b1 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $a0) (local.get $a1)))
            (local.set $b2 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $a2) (local.get $a3)))
            (local.set $b3 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $a2) (local.get $a3)))
            ;; two rows and two: a column each
            (local.set $a0 (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $b0) (local.get $b2)))
            (local.set $a1 (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $b0) (local.get $b2)))
            (local.set $a2 (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $b1) (local.get $b3)))
            (local.set $a3 (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $b1) (local.get $b3)))
            (v128.store (local.get $out) (local.get $a0))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $a1))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $a2))
            (local.set $out (i32.add (local.get $out) (local.get $pitch)))
            (v128.store (local.get $out) (local.get $a3))
            (local.set $r (i32.add (local.get $r) (i32.const 4)))
            (br $nextRows)))
        (local.set $c (i32.add (local.get $c) (i32.const 4)))
        (br $nextColumns))))

  ;; As $transpose below, element by element, for rows from $firstRow on.
  (func $elements16 (param $from i32) (param $stride i32) (param $columns i32) (param $firstRow i32) (param $rows i32) (param $to i32) (param $pitch i32)
    (local $c i32) (local $r i32)
    (block $columnsDone
      (loop $nextColumn
        (br_if $columnsDone (i32.ge_u (local.get $c) (local.get $columns)))
        (local.set $r (local.get $firstRow))
        (block $rowsDone
          (loop $nextRow
            (br_if $rowsDone (i32.ge_u (local.get $r) (local.get $rows)))
            (i32.store16
              (i32.add (i32.add (local.get $to) (i32.mul (local.get $c) (local.get $pitch))) (i32.shl (local.get $r) (i32.const 1)))
              (i32.load16_u (i32.add (i32.add (local.get $from) (i32.mul (local.get $r) (local.get $stride))) (i32.shl (local.get $c) (i32.const 1)))))
            (local.set $r (i32.add (local.get $r) (i32.const 1)))
            (br $nextRow)))
        (local.set $c (i32.add (local.get $c) (i32.const 1)))
        (br $nextColumn))))

  ;; As $transpose below, element by element, for rows from $firstRow on.
  (func $elements32 (param $from i32) (param $stride i32) (param $columns i32) (param $firstRow i32) (param $rows i32) (param $to i32) (param $pitch i32)
    (local $c i32) (local $r i32)
    (block $columnsDone
      (loop $nextColumn
        (br_if $columnsDone (i32.ge_u (local.get $c) (local.get $columns)))
        (local.set $r (local.get $firstRow))
        (block $rowsDone
          (loop $nextRow
            (br_if $rowsDone (i32.ge_u (local.get $r) (local.get $rows)))
            (i32.store
              (i32.add (i32.add (local.get $to) (i32.mul (local.get $c) (local.get $pitch))) (i32.shl (local.get $r) (i32.const 2)))
              (i32.load (i32.add (i32.add (local.get $from) (i32.mul (local.get $r) (local.get $stride))) (i32.shl (local.get $c) (i32.const 2)))))
            (local.set $r (i32.add (local.get $r) (i32.const 1)))
            (br $nextRow)))
        (local.set $c (i32.add (local.get $c) (i32.const 1)))
        (br $nextColumn))))

  ;; Rows of $columns elements, $stride bytes apart, at $from, as columns at $to: element r of the output's row c is element c of row
  ;; r. Rows of the output are $pitch bytes apart.
  (func (export "transpose16") (param $from i32) (param $stride i32) (param $columns i32) (param $rows i32) (param $to i32) (param $pitch i32)
    (local $wideColumns i32) (local $wideRows i32)
    (local.set $wideColumns (i32.and (local.get $columns) (i32.const -8)))
    (local.set $wideRows (i32.and (local.get $rows) (i32.const -8)))
    (call $blocks16 (local.get $from) (local.get $stride) (local.get $wideColumns) (local.get $wideRows) (local.get $to) (local.get $pitch))
    ;; What is left below the blocks, then beside them.
    (call $elements16 (local.get $from) (local.get $stride) (local.get $wideColumns) (local.get $wideRows) (local.get $rows) (local.get $to) (local.get $pitch))
    (call $elements16
      (i32.add (local.get $from) (i32.shl (local.get $wideColumns) (i32.const 1))) (local.get $stride)
      (i32.sub (local.get $columns) (local.get $wideColumns)) (i32.const 0) (local.get $rows)
      (i32.add (local.get $to) (i32.mul (local.get $wideColumns) (local.get $pitch))) (local.get $pitch)))

  ;; Rows of $columns elements, $stride bytes apart, at $from, as columns at $to: element r of the output's row c is element c of row
  ;; r. Rows of the output are $pitch bytes apart.
  (func (export "transpose32") (param $from i32) (param $stride i32) (param $columns i32) (param $rows i32) (param $to i32) (param $pitch i32)
    (local $wideColumns i32) (local $wideRows i32)
    (local.set $wideColumns (i32.and (local.get $columns) (i32.const -4)))
    (local.set $wideRows (i32.and (local.get $rows) (i32.const -4)))
    (call $blocks32 (local.get $from) (local.get $stride) (local.get $wideColumns) (local.get $wideRows) (local.get $to) (local.get $pitch))
    ;; What is left below the blocks, then beside them.
    (call $elements32 (local.get $from) (local.get $stride) (local.get $wideColumns) (local.get $wideRows) (local.get $rows) (local.get $to) (local.get $pitch))
    (call $elements32
      (i32.add (local.get $from) (i32.shl (local.get $wideColumns) (i32.const 2))) (local.get $stride)
      (i32.sub (local.get $columns) (local.get $wideColumns)) (i32.const 0) (local.get $rows)
      (i32.add (local.get $to) (i32.mul (local.get $wideColumns) (local.get $pitch))) (local.get $pitch))))
