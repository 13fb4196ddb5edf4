//! Amazon resource names of repositories.

use std::fmt;
use std::str::FromStr;

use crate::name::RepositoryName;
use crate::registry_id::{AccountId, Region, RegistryId};

/// `arn:aws:ecr:<region>:<account>:repository/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryArn {
    /// The registry that has it.
    pub registry: RegistryId,
    /// The repository's name.
    pub name: RepositoryName,
}

/// The text is not the ARN of an ECR repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an ECR repository ARN has the form arn:aws:ecr:<region>:<account>:repository/<name>")]
pub struct ArnError;

impl RepositoryArn {
    /// Parses the ARN. The partition must be the region's own.
    ///
    /// # Errors
    /// [`ArnError`] for anything else, another service's ARN included.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or(ArnError);
        let (scheme, partition, service) = (next()?, next()?, next()?);
        let region = Region::parse(next()?).map_err(|_| ArnError)?;
        let account = AccountId::parse(next()?).map_err(|_| ArnError)?;
        let name = next()?.strip_prefix("repository/").ok_or(ArnError)?;
        if scheme != "arn" || service != "ecr" || partition != region.partition() {
            return Err(ArnError);
        }
        let name = RepositoryName::parse(name).map_err(|_| ArnError)?;
        Ok(Self { registry: RegistryId { account, region }, name })
    }
}

impl fmt::Display for RepositoryArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RegistryId { account, region } = &self.registry;
        write!(f, "arn:{}:ecr:{region}:{account}:repository/{}", region.partition(), self.name)
    }
}

impl FromStr for RepositoryArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_parses_and_refuses_the_rest() {
        let good = "arn:aws:ecr:us-east-1:123456789012:repository/shop/api";
        assert_eq!(RepositoryArn::parse(good).unwrap().to_string(), good);
        for bad in [
            "",
            "arn:aws:ecr:us-east-1:123456789012:repository/",
            "arn:aws:s3:us-east-1:123456789012:repository/shop/api",
            "arn:aws-cn:ecr:us-east-1:123456789012:repository/shop/api",
            "arn:aws:ecr:us-east-1:1:repository/shop/api",
            "arn:aws:ecr:us-east-1:123456789012:shop/api",
        ] {
            assert_eq!(RepositoryArn::parse(bad), Err(ArnError), "{bad}");
        }
    }
}
