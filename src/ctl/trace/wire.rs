//! The wire format of Protocol Buffers, read. Pure.

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'b> {
    Integer(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message, in order; an error ends them.
#[derive(Clone, Debug)]
pub(super) struct Fields<'b>(&'b [u8]);

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'b> Fields<'b> {
    pub(super) fn of(message: &'b [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Option<(u64, Value<'b>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Integer(self.varint()?),
            1 => Value::Integer(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let bytes = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(bytes)?)
            }
            5 => {
                let bytes: [u8; 4] = self.take(4)?.try_into().ok()?;
                Value::Integer(u32::from_le_bytes(bytes).into())
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn take(&mut self, bytes: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Value<'b>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, Malformed, Value};

    fn fields(message: &[u8]) -> Vec<Result<(u64, Value<'_>), Malformed>> {
        Fields::of(message).collect()
    }

    /// The bytes of the examples in Google's description of the encoding.
    #[test]
    fn fields_are_read_as_the_format_says() {
        let message = b"\x08\x96\x01\x12\x07testing\xf9\x02\x01\0\0\0\0\0\0\0\x1d\x02\0\0\0";
        let expected = [
            Ok((1, Value::Integer(150))),
            Ok((2, Value::Bytes(b"testing"))),
            Ok((47, Value::Integer(1))),
            Ok((3, Value::Integer(2))),
        ];
        assert_eq!(fields(message), expected);
    }

    #[test]
    fn what_is_cut_off_or_no_message_ends_the_fields() {
        for message in [
            &b"\x08"[..],
            b"\x08\x96",
            b"\x12\x07test",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0b",
            &[0xff; 20],
        ] {
            assert_eq!(fields(message), [Err(Malformed)], "{message:?}");
        }
    }
}
